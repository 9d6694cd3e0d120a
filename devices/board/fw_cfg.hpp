// SPDX-License-Identifier: GPL-3.0-or-later
// QEMU's firmware configuration device: numbered items and named files that the firmware reads by port or DMA.
// After QEMU's docs/specs/fw_cfg ("QEMU Firmware Configuration (fw_cfg) Device"). Read only: writes by DMA are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vmm/device/device.hpp"

namespace skep {

class FwCfg final : public Device, private IoHandler {
  public:
    static constexpr uint16_t k_port = 0x510;      // selector (write), data (0x511)
    static constexpr uint16_t k_dma_port = 0x514;  // 64-bit big-endian address of the control structure
    static constexpr uint16_t k_first_file_key = 0x20;
    static constexpr size_t k_max_files = 0x3fe0;  // keys below 0x4000
    static constexpr size_t k_max_name = 55;       // characters; the directory holds 56 with the NUL

    explicit FwCfg(const DeviceContext& context);

    // Before the machine starts, or while none of its processors runs. Setting a key or name again replaces its content.
    void set_item(uint16_t key, std::vector<std::byte> content);
    // False when the name is empty or longer than k_max_name, the content exceeds 4 GiB - 1 or the directory is full.
    [[nodiscard]] bool set_file(const std::string& name, std::vector<std::byte> content);

    [[nodiscard]] std::string name() const override { return "fw_cfg"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // The DMA control structure (section "Guest-side DMA Interface"), in host order.
    struct DmaControl {
        uint32_t control = 0;
        uint32_t length = 0;
        uint64_t address = 0;
    };

    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;
    void rebuild_directory();
    void select(uint16_t key);
    uint8_t next_byte();
    void run_dma(GuestAddress control_address);
    [[nodiscard]] bool carry_out(const DmaControl& request);
    [[nodiscard]] bool read_to_guest(GuestAddress address, uint32_t length);
    [[nodiscard]] const std::vector<std::byte>* selected() const;

    GuestMemory& m_memory;
    IoGate m_gate;
    GuestErrorLog m_errors;
    std::map<uint16_t, std::vector<std::byte>> m_items;
    std::map<std::string, std::vector<std::byte>> m_files;  // sorted by name: key = 0x20 + place
    std::vector<const std::vector<std::byte>*> m_file_order;
    uint16_t m_selector = 0;
    uint32_t m_offset = 0;
    uint32_t m_dma_high = 0;
    IoClaim m_claim;
};

}  // namespace skep
