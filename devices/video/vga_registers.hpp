// SPDX-License-Identifier: GPL-3.0-or-later
// The VGA's registers behind ports 0x3b0-0x3df, named as the IBM VGA technical reference and the OSDev/FreeVGA pages
// name them. Values only: what they do to memory and to the picture is told by planar_memory.hpp and frame.hpp.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/base/clock.hpp"
#include "vmm/device/state_io.hpp"

namespace skep::vga {

enum SequencerIndex : uint8_t { k_sr_clocking = 1, k_sr_map_mask = 2, k_sr_font_select = 3, k_sr_memory_mode = 4 };
enum CrtcIndex : uint8_t {
    k_cr_horizontal_end = 0x01,  // displayed characters - 1
    k_cr_vertical_total = 0x06,
    k_cr_overflow = 0x07,
    k_cr_maximum_scan_line = 0x09,
    k_cr_cursor_start = 0x0a,
    k_cr_cursor_end = 0x0b,
    k_cr_start_high = 0x0c,
    k_cr_start_low = 0x0d,
    k_cr_cursor_high = 0x0e,
    k_cr_cursor_low = 0x0f,
    k_cr_vertical_retrace_end = 0x11,
    k_cr_vertical_end = 0x12,  // displayed lines - 1
    k_cr_offset = 0x13,
    k_cr_underline = 0x14,
    k_cr_mode = 0x17,
    k_cr_line_compare = 0x18,
};
enum GraphicsIndex : uint8_t {
    k_gr_set_reset = 0,
    k_gr_enable_set_reset = 1,
    k_gr_colour_compare = 2,
    k_gr_data_rotate = 3,
    k_gr_read_map = 4,
    k_gr_mode = 5,
    k_gr_miscellaneous = 6,
    k_gr_colour_dont_care = 7,
    k_gr_bit_mask = 8,
};
enum AttributeIndex : uint8_t { k_ar_mode = 0x10, k_ar_overscan = 0x11, k_ar_panning = 0x13, k_ar_colour_select = 0x14 };

inline constexpr uint8_t k_misc_colour_ports = 0x01;
inline constexpr uint8_t k_misc_enable_ram = 0x02;
inline constexpr uint8_t k_clocking_8_dots = 0x01;
inline constexpr uint8_t k_clocking_half_rate = 0x08;
inline constexpr uint8_t k_clocking_screen_off = 0x20;
inline constexpr uint8_t k_memory_mode_sequential = 0x04;  // 0: odd and even addresses go to different maps
inline constexpr uint8_t k_memory_mode_chain_4 = 0x08;
inline constexpr uint8_t k_graphics_mode_odd_even = 0x10;
inline constexpr uint8_t k_graphics_mode_interleave = 0x20;  // CGA: two bits a pixel
inline constexpr uint8_t k_graphics_mode_shift_256 = 0x40;
inline constexpr uint8_t k_miscellaneous_graphics = 0x01;
inline constexpr uint8_t k_attribute_mode_graphics = 0x01;
inline constexpr uint8_t k_attribute_mode_line_graphics = 0x04;
inline constexpr uint8_t k_attribute_mode_blink = 0x08;
inline constexpr uint8_t k_attribute_mode_8_bit = 0x40;
inline constexpr uint8_t k_attribute_mode_p54s = 0x80;  // palette bits 4 and 5 come from colour select
inline constexpr uint8_t k_palette_address_source = 0x20;  // of the attribute index: the screen is on
inline constexpr uint8_t k_cursor_off = 0x20;

// Colours of the DAC (Inmos IMS G171 and successors).
struct Dac {
    uint8_t mask = 0xff;
    uint8_t state = 0;  // 0 after a write of the write index, 3 after one of the read index
    uint8_t read_index = 0;
    uint8_t write_index = 0;
    uint8_t component = 0;  // 0 red, 1 green, 2 blue: next
    std::array<uint8_t, 3> latch{};
    std::array<uint8_t, 768> palette{};
};

class Registers {
  public:
    // port: 0x3b0..0x3df. Ports of the other colour setting, and those without a register, read as all ones.
    uint8_t read(uint16_t port, Nanoseconds now);
    void write(uint16_t port, uint8_t value);
    void reset();
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

    // Set by the dispi: components of the DAC have 8 bits, not 6.
    void set_dac_8_bit(bool on) { dac_8_bit = on; }
    // 0x00RRGGBB.
    [[nodiscard]] uint32_t colour(uint8_t index) const;
    // What the attribute controller makes of a 4-bit pixel: an index into the DAC.
    [[nodiscard]] uint8_t palette_index(uint8_t pixel) const;
    // Displayed lines.
    [[nodiscard]] uint32_t vertical_end() const;
    [[nodiscard]] bool screen_on() const {
        return (attribute_index & k_palette_address_source) != 0 && (sequencer[k_sr_clocking] & k_clocking_screen_off) == 0;
    }
    // Grows when something changes that the picture may depend on.
    [[nodiscard]] uint64_t generation() const { return m_generation; }

    uint8_t miscellaneous = 0;
    uint8_t feature_control = 0;
    uint8_t sequencer_index = 0;
    uint8_t crtc_index = 0;
    uint8_t graphics_index = 0;
    uint8_t attribute_index = 0;  // with k_palette_address_source
    bool attribute_wants_data = false;
    bool dac_8_bit = false;
    std::array<uint8_t, 8> sequencer{};
    std::array<uint8_t, 0x20> crtc{};
    std::array<uint8_t, 0x10> graphics{};
    std::array<uint8_t, 0x20> attribute{};
    Dac dac;

  private:
    [[nodiscard]] uint8_t input_status_1(Nanoseconds now) const;
    void write_attribute(uint8_t value);
    void write_crtc(uint8_t value);
    uint8_t read_dac();
    void write_dac(uint8_t value);

    uint64_t m_generation = 0;
};

}  // namespace skep::vga
