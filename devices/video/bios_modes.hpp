// SPDX-License-Identifier: GPL-3.0-or-later
// What a VGA BIOS does to the adapter, for machines that start a kernel without any BIOS: text mode 3 (80 x 25 characters of 9 x 16
// dots, 16 colours; IBM VGA technical reference, "Video Modes"; values of the registers: its table for mode 3+) and the linear modes
// (dispi.hpp). Before the processors run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/bus/io_space.hpp"

namespace skep::vga {

inline constexpr uint64_t k_text_address = 0xb'8000;
inline constexpr uint32_t k_text_columns = 80, k_text_rows = 25;
inline constexpr size_t k_font_rows = 16;  // bytes of a character
inline constexpr size_t k_font_bytes = 256 * k_font_rows;

using Font = std::span<const std::byte, k_font_bytes>;

// The 8 x 16 font in a VGA BIOS' image. Nothing where it has none, or not all of it.
[[nodiscard]] std::optional<Font> find_font(std::span<const std::byte> vga_bios);

// The screen is cleared, the cursor is in its first corner.
void set_text_mode(IoSpace& ports, IoSpace& mmio, Font font);

// Four bytes a pixel (blue, green, red, nothing), black. The size: as the adapter has it, k_dispi_max_xres x k_dispi_max_yres at most.
inline constexpr uint16_t k_linear_depth = 32;
void set_linear_mode(IoSpace& ports, uint16_t width, uint16_t height);

}  // namespace skep::vga
