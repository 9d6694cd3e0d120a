// SPDX-License-Identifier: GPL-3.0-or-later
// The Bochs "dispi" display interface: linear modes of any size by eleven 16-bit registers, reached through ports
// 0x1ce/0x1cf and, on PCI, through memory (Bochs' VBE extension document "vbe_display_api.txt"; QEMU docs/specs/standard-vga).
// Left out: 32 KiB bank granularity.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/device/state_io.hpp"

namespace skep::vga {

enum DispiIndex : uint8_t {
    k_dispi_id,
    k_dispi_xres,
    k_dispi_yres,
    k_dispi_bpp,
    k_dispi_enable,
    k_dispi_bank,
    k_dispi_virt_width,
    k_dispi_virt_height,
    k_dispi_x_offset,
    k_dispi_y_offset,
    k_dispi_video_memory_64k,
    k_dispi_count,
};
inline constexpr uint16_t k_dispi_enabled = 0x01;
inline constexpr uint16_t k_dispi_getcaps = 0x02;
inline constexpr uint16_t k_dispi_8bit_dac = 0x20;
inline constexpr uint16_t k_dispi_lfb_enabled = 0x40;
inline constexpr uint16_t k_dispi_noclearmem = 0x80;

// Largest picture, whatever the memory would hold.
inline constexpr uint16_t k_dispi_max_xres = 5120;
inline constexpr uint16_t k_dispi_max_yres = 3200;

class Dispi {
  public:
    explicit Dispi(uint64_t vram_bytes) : m_vram_bytes(vram_bytes) { reset(); }

    enum class Effect { none, picture, mode_set };  // mode_set: a mode was just entered and its memory is to be cleared
    [[nodiscard]] uint16_t read(unsigned index) const;
    Effect write(unsigned index, uint16_t value);
    uint16_t selected = 0;  // the index written to port 0x1ce

    void reset();
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

    // --- the mode, while enabled(): consistent and inside the memory, whatever was written -------------------------------
    [[nodiscard]] bool enabled() const { return (m_registers[k_dispi_enable] & k_dispi_enabled) != 0; }
    [[nodiscard]] bool dac_8_bit() const { return (m_registers[k_dispi_enable] & k_dispi_8bit_dac) != 0; }
    [[nodiscard]] uint32_t width() const { return m_registers[k_dispi_xres]; }
    [[nodiscard]] uint32_t height() const { return m_registers[k_dispi_yres]; }
    [[nodiscard]] unsigned bits_per_pixel() const { return m_registers[k_dispi_bpp]; }
    [[nodiscard]] uint32_t virtual_width() const { return m_registers[k_dispi_virt_width]; }
    [[nodiscard]] uint32_t pitch() const;  // bytes; with 4 bits a pixel: of one plane
    [[nodiscard]] uint64_t start() const;  // byte of the first pixel; with 4 bits a pixel: in each plane
    [[nodiscard]] uint64_t bank_start() const { return uint64_t{m_registers[k_dispi_bank]} << 16; }

  private:
    void settle();
    [[nodiscard]] uint64_t plane_bytes() const { return bits_per_pixel() == 4 ? m_vram_bytes / 4 : m_vram_bytes; }
    [[nodiscard]] static uint32_t bytes_for(uint32_t pixels, unsigned bits_per_pixel);

    uint64_t m_vram_bytes;
    std::array<uint16_t, k_dispi_count> m_registers{};
};

}  // namespace skep::vga
