// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/bios_modes.hpp"

#include <algorithm>
#include <array>

#include "devices/video/dispi.hpp"
#include "devices/video/vga_registers.hpp"

namespace skep::vga {
namespace {

constexpr uint16_t k_attribute_port = 0x3c0, k_miscellaneous_port = 0x3c2, k_sequencer_port = 0x3c4, k_dac_mask_port = 0x3c6;
constexpr uint16_t k_dac_index_port = 0x3c8, k_dac_data_port = 0x3c9, k_graphics_port = 0x3ce, k_crtc_port = 0x3d4;
constexpr uint16_t k_status_port = 0x3da, k_dispi_index_port = 0x1ce, k_dispi_data_port = 0x1d0;
constexpr uint64_t k_window = 0xa'0000;
constexpr size_t k_font_stride = 32;  // of a character in map 2

constexpr uint8_t k_miscellaneous = 0x67;
constexpr std::array<uint8_t, 5> k_sequencer{0x03, 0x00, 0x03, 0x00, 0x02};
constexpr std::array<uint8_t, 25> k_crtc{0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
constexpr std::array<uint8_t, 9> k_graphics{0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
constexpr std::array<uint8_t, 21> k_attribute{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                              0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
constexpr uint8_t k_crtc_protected = 0x80;  // of k_cr_vertical_retrace_end
constexpr uint16_t k_blank = 0x0720;        // a space, light grey on black

class Programmer {
  public:
    explicit Programmer(IoSpace& ports) : m_ports(ports) {}
    void out(uint16_t port, uint8_t value) { m_ports.write(port, 1, value); }
    void set(uint16_t port, size_t index, uint8_t value) { m_ports.write(port, 2, index | size_t{value} << 8); }
    void set_attribute(size_t index, uint8_t value) {
        select_attribute(static_cast<uint8_t>(index));
        out(k_attribute_port, value);
    }
    void set_dispi(DispiIndex index, uint16_t value) {
        m_ports.write(k_dispi_index_port, 2, index);
        m_ports.write(k_dispi_data_port, 2, value);
    }
    void show() { select_attribute(k_palette_address_source); }

  private:
    void select_attribute(uint8_t index) {
        m_ports.read(k_status_port, 1);  // the index comes next
        out(k_attribute_port, index);
    }

    IoSpace& m_ports;
};

void set_registers(Programmer& vga) {
    vga.out(k_miscellaneous_port, k_miscellaneous);
    for (size_t index = 0; index < k_sequencer.size(); ++index) {
        vga.set(k_sequencer_port, index, k_sequencer[index]);
    }
    vga.set(k_crtc_port, k_cr_vertical_retrace_end, k_crtc[k_cr_vertical_retrace_end] & ~k_crtc_protected);
    for (size_t index = 0; index < k_crtc.size(); ++index) {
        vga.set(k_crtc_port, index, k_crtc[index]);
    }
    for (size_t index = 0; index < k_graphics.size(); ++index) {
        vga.set(k_graphics_port, index, k_graphics[index]);
    }
    for (size_t index = 0; index < k_attribute.size(); ++index) {
        vga.set_attribute(index, k_attribute[index]);
    }
    vga.show();
}

// EGA's 64 colours: bits 2 to 0 are two thirds of red, green and blue, bits 5 to 3 one third.
void set_colours(Programmer& vga) {
    constexpr unsigned k_colours = 64, k_two_thirds = 0x2a, k_one_third = 0x15;
    vga.out(k_dac_mask_port, 0xff);
    vga.out(k_dac_index_port, 0);
    for (unsigned colour = 0; colour < k_colours; ++colour) {
        for (const unsigned part : {2U, 1U, 0U}) {
            vga.out(k_dac_data_port, static_cast<uint8_t>((colour >> part & 1) * k_two_thirds + (colour >> (part + 3) & 1) * k_one_third));
        }
    }
}

// Into map 2, as plain bytes from 0xa0000.
void load_font(Programmer& vga, IoSpace& mmio, Font font) {
    constexpr uint8_t k_map_2 = 0x04, k_sequential = 0x06, k_64_kib_at_a0000 = 0x04;
    vga.set(k_sequencer_port, k_sr_map_mask, k_map_2);
    vga.set(k_sequencer_port, k_sr_memory_mode, k_sequential);
    vga.set(k_graphics_port, k_gr_mode, 0);
    vga.set(k_graphics_port, k_gr_miscellaneous, k_64_kib_at_a0000);
    for (size_t at = 0; at < font.size(); ++at) {
        mmio.write(k_window + at / k_font_rows * k_font_stride + at % k_font_rows, 1, std::to_integer<uint8_t>(font[at]));
    }
    vga.set(k_sequencer_port, k_sr_map_mask, k_sequencer[k_sr_map_mask]);
    vga.set(k_sequencer_port, k_sr_memory_mode, k_sequencer[k_sr_memory_mode]);
    vga.set(k_graphics_port, k_gr_mode, k_graphics[k_gr_mode]);
    vga.set(k_graphics_port, k_gr_miscellaneous, k_graphics[k_gr_miscellaneous]);
}

}  // namespace

// By its first two characters: nothing, and the white smiling face of code page 437.
std::optional<Font> find_font(std::span<const std::byte> vga_bios) {
    constexpr std::array<uint8_t, 2 * k_font_rows> k_begin{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                           0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0, 0, 0, 0};
    const auto begin = std::as_bytes(std::span(k_begin));
    const auto found = std::search(vga_bios.begin(), vga_bios.end(), begin.begin(), begin.end());
    const auto rest = vga_bios.subspan(static_cast<size_t>(found - vga_bios.begin()));
    return rest.size() < k_font_bytes ? std::nullopt : std::optional(Font(rest.first<k_font_bytes>()));
}

void set_text_mode(IoSpace& ports, IoSpace& mmio, Font font) {
    Programmer vga(ports);
    vga.set_dispi(k_dispi_enable, 0);
    set_registers(vga);
    set_colours(vga);
    load_font(vga, mmio, font);
    for (uint64_t at = 0; at < 2 * k_text_columns * k_text_rows; at += 2) {
        mmio.write(k_text_address + at, 2, k_blank);
    }
}

void set_linear_mode(IoSpace& ports, uint16_t width, uint16_t height) {
    Programmer vga(ports);
    vga.set_dispi(k_dispi_enable, 0);
    vga.set_dispi(k_dispi_xres, width);
    vga.set_dispi(k_dispi_yres, height);
    vga.set_dispi(k_dispi_bpp, k_linear_depth);
    vga.set_dispi(k_dispi_enable, k_dispi_enabled | k_dispi_lfb_enabled);
    vga.show();
}

}  // namespace skep::vga
