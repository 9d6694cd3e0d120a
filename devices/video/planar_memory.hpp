// SPDX-License-Identifier: GPL-3.0-or-later
// The processor's window at 0xa0000 onto the video memory: four maps (planes) of bytes, reached through the graphics
// controller's read and write modes (IBM VGA technical reference, "Graphics Controller").
// In memory the maps are interleaved: byte n of map p is byte 4n + p. With that, chain 4 and the dispi's linear modes are plain
// memory, and the address shifts that odd/even and chain 4 make on a real card cancel with those of the CRTC.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/video/dispi.hpp"
#include "devices/video/vga_registers.hpp"

namespace skep::vga {

inline constexpr uint64_t k_window_bytes = 0x2'0000;
inline constexpr uint64_t k_vram_page = 4096;  // the unit in which changes are noted

class PlanarMemory {
  public:
    // vram: a power of two from 256 KiB, outlives this.
    explicit PlanarMemory(std::span<std::byte> vram);

    // offset: from 0xa0000, below k_window_bytes.
    uint8_t read(const Registers& registers, const Dispi& dispi, uint64_t offset);
    void write(const Registers& registers, const Dispi& dispi, uint64_t offset, uint8_t value);

    // Pages written through the window or marked, since the last call: a bit for each, joined to `pages`.
    void take_written(std::vector<uint64_t>& pages);
    void mark_all();
    [[nodiscard]] std::span<std::byte> vram() const { return m_vram; }

    void reset() { m_latch = 0; }
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    struct Place;
    [[nodiscard]] Place place_of(const Registers& registers, const Dispi& dispi, uint64_t offset) const;
    [[nodiscard]] uint32_t fetch(uint64_t index) const;
    void store(uint64_t index, uint32_t value);
    void mark(uint64_t byte) { m_written[byte / k_vram_page / 64] |= uint64_t{1} << (byte / k_vram_page % 64); }
    void write_planes(const Registers& registers, uint64_t index, uint32_t enabled, uint8_t value);

    std::span<std::byte> m_vram;
    uint32_t m_latch = 0;  // a byte of each map
    std::vector<uint64_t> m_written;
};

}  // namespace skep::vga
