// SPDX-License-Identifier: GPL-3.0-or-later
// The PCI display adapter that firmware, boot loaders and every system know: VGA with the Bochs dispi, as QEMU's "stdvga"
// (QEMU docs/specs/standard-vga): 1234:1111, BAR 0 the frame buffer, BAR 2 registers, an option ROM with the VGA BIOS.
#pragma once

#include <memory>
#include <span>

#include "devices/pci/pci_function.hpp"
#include "devices/video/vga_bus.hpp"
#include "devices/video/vga_core.hpp"

namespace skep {

struct VgaConfig {
    std::span<std::byte> vram;              // of GuestMemory::add_device_memory: a power of two, 256 KiB to 64 MiB
    std::span<std::byte> rom;               // of GuestMemory::add_rom: a power of two; empty: none
    ScreenSize preferred_size{1280, 800};   // what the EDID says
};

class VgaAdapter final : public PciFunction {
  public:
    // The screen shows this adapter until it is destroyed. Screen and log outlive it.
    VgaAdapter(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen);
    ~VgaAdapter() override;

    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;

    Edid m_edid;
    vga::VgaCore m_core;
    vga::LegacyRanges m_legacy;
    Screen& m_screen;
};

}  // namespace skep
