// SPDX-License-Identifier: GPL-3.0-or-later
// How a VgaCore is reached: the legacy ports and window of every PC, and the register area of a PCI BAR.
#pragma once

#include <cstdint>

#include "devices/video/edid.hpp"
#include "devices/video/vga_core.hpp"
#include "vmm/device/device.hpp"

namespace skep::vga {

// Ports 0x3b0-0x3df and 0x1ce-0x1d1, memory 0xa0000-0xbffff. They answer whatever the PCI command register says, since they
// are nobody else's on this board. Not answered: the MDA's ports 0x3b0-0x3b3 and 0x3bb-0x3bf, which read as ones.
class LegacyRanges {
  public:
    LegacyRanges(const DeviceContext& context, IoGate& gate, VgaCore& core);

  private:
    struct Ports final : IoHandler {
        explicit Ports(VgaCore& to) : core(to) {}
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
        VgaCore& core;
    };
    struct DispiPorts final : IoHandler {
        explicit DispiPorts(VgaCore& to) : core(to) {}
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
        VgaCore& core;
    };
    struct Window final : IoHandler {
        explicit Window(VgaCore& to) : core(to) {}
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
        VgaCore& core;
    };

    Ports m_ports;
    DispiPorts m_dispi_ports;
    Window m_window;
    IoClaim m_port_claim, m_dispi_claim, m_window_claim;
};

// The 4 KiB register area of a PCI display (QEMU docs/specs/standard-vga, "PCI Spec"): EDID from 0, ports 0x3c0-0x3df from
// 0x400, dispi registers from 0x500, byte order (always little endian here) at 0x604. size: 1, 2 or 4.
inline constexpr uint64_t k_register_area = 0x1000;
[[nodiscard]] uint64_t register_area_read(VgaCore& core, const Edid& edid, uint64_t offset, unsigned size);
void register_area_write(VgaCore& core, uint64_t offset, unsigned size, uint64_t value);

}  // namespace skep::vga
