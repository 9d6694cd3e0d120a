// SPDX-License-Identifier: GPL-3.0-or-later
// What the registers say is on the screen, as plain values: copied under the device's lock, then drawn without it.
#pragma once

#include <array>
#include <cstdint>

#include "devices/video/dispi.hpp"
#include "devices/video/vga_registers.hpp"
#include "display/surface/geometry.hpp"

namespace skep::vga {

// Sizes are in pixels of the surface, which has as many as the monitor shows: a mode of 200 doubled lines has 400.
struct Frame {
    enum class Kind : uint8_t {
        blank,
        text,
        planar,  // the VGA's graphics modes and the dispi's with 4 bits a pixel
        linear,  // the dispi's others
    };
    enum class Shift : uint8_t { planes, pairs, bytes };  // how the VGA makes pixels of 32 bits: 4, 2+2 or 8 bits each

    Kind kind = Kind::blank;
    ScreenSize size;
    uint64_t start = 0;     // first cell or byte of each map; linear: byte of the memory
    uint32_t row_step = 0;  // from row to row, in the same unit
    uint32_t columns = 0;   // characters, or groups of 8 dots
    uint32_t row_lines = 1; // lines of a row: a character's height; graphics: how often each row is shown
    bool double_lines = false, double_dots = false;

    // text
    uint8_t dots = 8;  // a character's width: 8 or 9
    uint8_t underline = 0x1f;
    bool blinks = false;         // attribute bit 7 is blinking, not a bright background
    bool line_graphics = false;  // characters 0xc0-0xdf continue into the ninth dot
    std::array<uint16_t, 2> fonts{};  // in map 2, by attribute bit 3

    // planar
    Shift shift = Shift::planes;
    uint64_t map_mask = 0xffff;   // addresses wrap
    uint8_t row_bit_13 = 0, row_bit_14 = 0;  // address bits replaced by bits 0 and 1 of the line in the row (CGA); 0: none
    uint32_t line_compare = ~0U;  // after this line the picture begins anew at address 0
    uint8_t panning = 0;          // dots
    bool panning_ends = false;    // at line_compare

    // linear
    uint8_t bits_per_pixel = 0;  // 8, 15, 16, 24, 32

    std::array<uint32_t, 16> sixteen{};      // colours through the attribute controller
    std::array<uint32_t, 256> colours{};     // of the DAC

    bool operator==(const Frame&) const = default;
};

// The cursor of text modes.
struct TextCursor {
    bool shown = false;
    uint32_t cell = 0;  // address, as Frame::start
    uint8_t first_line = 0, last_line = 0;
    bool operator==(const TextCursor&) const = default;
};

// A mode that no monitor could show is blank.
[[nodiscard]] Frame frame_of(const Registers& registers, const Dispi& dispi, uint64_t vram_bytes);
[[nodiscard]] TextCursor cursor_of(const Registers& registers);

}  // namespace skep::vga
