// SPDX-License-Identifier: GPL-3.0-or-later
// 0xc0000-0xfffff: switched between ROM and RAM, region by region, by the PAM registers (Intel 3 Series chipset
// data sheet 319966, 5.1.21-5.1.27).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "vmm/bus/io_space.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

// Firmware as it appears below 1 MiB: host memory of GuestMemory::add_rom, ending at 0x100000.
struct ShadowRom {
    std::byte* host = nullptr;
    uint64_t size = 0;  // up to 256 KiB, a multiple of 16 KiB; 0: none
};

class ShadowMemory final : private IoHandler {
  public:
    static constexpr GuestAddress k_start = 0xc'0000;
    static constexpr GuestAddress k_end = 0x10'0000;
    static constexpr uint64_t k_block = 0x4000;
    static constexpr unsigned k_block_count = (k_end - k_start) / k_block;
    static constexpr unsigned k_pam_count = 7;
    static constexpr uint8_t k_read_enable = 1;   // reads go to RAM, else to ROM
    static constexpr uint8_t k_write_enable = 2;  // writes go to RAM, else nowhere

    ShadowMemory(GuestMemory& memory, IoSpace& mmio, ShadowRom rom);

    // Takes the seven PAM registers; changes the memory map where they differ from before. Not thread-safe.
    void set_pam(const std::array<uint8_t, k_pam_count>& pam);

  private:
    struct Run {
        GuestAddress start = 0;
        uint64_t size = 0;
        std::byte* host = nullptr;  // null: nothing answers
        bool writable = false;
        bool operator==(const Run&) const = default;
    };
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;
    [[nodiscard]] Run block(unsigned index) const;
    [[nodiscard]] std::vector<Run> plan() const;

    GuestMemory& m_memory;
    ShadowRom m_rom;
    std::array<uint8_t, k_block_count> m_enables{};
    std::vector<Run> m_runs;
    IoGate m_gate;
    IoClaim m_claim;  // writes that go to RAM while reads come from ROM
};

}  // namespace skep
