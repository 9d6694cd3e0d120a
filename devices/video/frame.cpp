// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/frame.hpp"

#include <algorithm>

namespace skep::vga {
namespace {

constexpr uint8_t k_double_scan = 0x80;  // of Maximum Scan Line
constexpr uint8_t k_mode_row_bit_13_off = 0x01, k_mode_row_bit_14_off = 0x02, k_mode_byte = 0x40;  // of CRTC Mode
constexpr uint8_t k_panning_ends = 0x20;      // of Attribute Mode
constexpr uint8_t k_colour_plane_enable = 0x12;

uint32_t line_compare_of(const Registers& registers) {
    return registers.crtc[k_cr_line_compare] | (registers.crtc[k_cr_overflow] & 0x10U) << 4 |
           (registers.crtc[k_cr_maximum_scan_line] & 0x40U) << 3;
}

// Where one of eight fonts begins in map 2.
uint16_t font_address(unsigned number) { return static_cast<uint16_t>((number & 3) << 14 | (number & 4) << 11); }

void fill_colours(Frame& frame, const Registers& registers) {
    for (unsigned i = 0; i < frame.colours.size(); ++i) {
        frame.colours[i] = registers.colour(static_cast<uint8_t>(i));
    }
    const uint8_t planes = registers.attribute[k_colour_plane_enable];
    for (unsigned i = 0; i < frame.sixteen.size(); ++i) {
        frame.sixteen[i] = registers.colour(registers.palette_index(static_cast<uint8_t>(i & planes)));
    }
}

// What text and the VGA's graphics have in common.
void fill_geometry(Frame& frame, const Registers& registers) {
    const uint8_t scan = registers.crtc[k_cr_maximum_scan_line];
    frame.start = uint64_t{registers.crtc[k_cr_start_high]} << 8 | registers.crtc[k_cr_start_low];
    frame.row_step = registers.crtc[k_cr_offset] * 2U;
    frame.columns = registers.crtc[k_cr_horizontal_end] + 1U;
    frame.row_lines = (scan & 0x1fU) + 1;
    frame.double_lines = (scan & k_double_scan) != 0;
    frame.double_dots = (registers.sequencer[k_sr_clocking] & k_clocking_half_rate) != 0;
}

void fill_text(Frame& frame, const Registers& registers) {
    frame.kind = Frame::Kind::text;
    fill_geometry(frame, registers);
    const uint8_t mode = registers.attribute[k_ar_mode];
    const uint8_t select = registers.sequencer[k_sr_font_select];
    frame.dots = (registers.sequencer[k_sr_clocking] & k_clocking_8_dots) != 0 ? 8 : 9;
    frame.underline = registers.crtc[k_cr_underline] & 0x1f;
    frame.blinks = (mode & k_attribute_mode_blink) != 0;
    frame.line_graphics = (mode & k_attribute_mode_line_graphics) != 0;
    frame.fonts = {font_address((select & 3U) | (select >> 2 & 4U)), font_address((select >> 2 & 3U) | (select >> 3 & 4U))};
    const uint32_t lines_of_cell = frame.row_lines * (frame.double_lines ? 2 : 1);
    const uint32_t rows = std::max(registers.vertical_end() / lines_of_cell, 1U);
    frame.size = {frame.columns * frame.dots * (frame.double_dots ? 2 : 1), rows * lines_of_cell};
}

void fill_planar(Frame& frame, const Registers& registers) {
    frame.kind = Frame::Kind::planar;
    fill_geometry(frame, registers);
    const uint8_t mode = registers.graphics[k_gr_mode];
    frame.shift = (mode & k_graphics_mode_shift_256) != 0    ? Frame::Shift::bytes
                  : (mode & k_graphics_mode_interleave) != 0 ? Frame::Shift::pairs
                                                             : Frame::Shift::planes;
    // A word address is not doubled here (planar_memory.hpp), so its bit 13 is one lower.
    const uint8_t crtc_mode = registers.crtc[k_cr_mode];
    const uint8_t bit_13 = (crtc_mode & k_mode_byte) != 0 ? 13 : 12;
    frame.row_bit_13 = (crtc_mode & k_mode_row_bit_13_off) == 0 ? bit_13 : 0;
    frame.row_bit_14 = (crtc_mode & k_mode_row_bit_14_off) == 0 ? bit_13 + 1 : 0;
    frame.line_compare = line_compare_of(registers);
    frame.panning = registers.attribute[k_ar_panning] & 7;
    frame.panning_ends = (registers.attribute[k_ar_mode] & k_panning_ends) != 0;
    frame.size = {frame.columns * 8 * (frame.double_dots ? 2 : 1), registers.vertical_end()};
}

void fill_dispi(Frame& frame, const Dispi& dispi, uint64_t vram_bytes) {
    frame.size = {dispi.width(), dispi.height()};
    frame.start = dispi.start();
    frame.row_step = dispi.pitch();
    if (dispi.bits_per_pixel() == 4) {
        frame.kind = Frame::Kind::planar;
        frame.columns = dispi.width() / 8;
        frame.map_mask = vram_bytes / 4 - 1;
    } else {
        frame.kind = Frame::Kind::linear;
        frame.bits_per_pixel = static_cast<uint8_t>(dispi.bits_per_pixel());
    }
}

}  // namespace

Frame frame_of(const Registers& registers, const Dispi& dispi, uint64_t vram_bytes) {
    Frame frame;
    if (!registers.screen_on()) {
        return frame;
    }
    if (dispi.enabled()) {
        fill_dispi(frame, dispi, vram_bytes);
    } else if ((registers.graphics[k_gr_miscellaneous] & k_miscellaneous_graphics) == 0) {
        fill_text(frame, registers);
    } else {
        fill_planar(frame, registers);
    }
    if (!frame.size.acceptable()) {
        return Frame{};
    }
    fill_colours(frame, registers);
    return frame;
}

TextCursor cursor_of(const Registers& registers) {
    const uint8_t start = registers.crtc[k_cr_cursor_start];
    return {.shown = (start & k_cursor_off) == 0,
            .cell = static_cast<uint32_t>(registers.crtc[k_cr_cursor_high] << 8 | registers.crtc[k_cr_cursor_low]),
            .first_line = static_cast<uint8_t>(start & 0x1f),
            .last_line = static_cast<uint8_t>(registers.crtc[k_cr_cursor_end] & 0x1f)};
}

}  // namespace skep::vga
