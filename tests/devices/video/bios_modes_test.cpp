// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/bios_modes.hpp"

#include <gtest/gtest.h>

#include "tests/devices/video/vga_fixture.hpp"

namespace skep::test {
namespace {

// Each character's rows are its code, but for the first two: those of code page 437.
std::vector<std::byte> bios_with_font() {
    std::vector<std::byte> bios(0x1000, std::byte{0xcc});
    bios.insert(bios.end(), vga::k_font_rows, std::byte{0});
    for (const int row : {0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0, 0, 0, 0}) {
        bios.push_back(static_cast<std::byte>(row));
    }
    for (size_t character = 2; character < 256; ++character) {
        bios.insert(bios.end(), vga::k_font_rows, static_cast<std::byte>(character));
    }
    return bios;
}

TEST(BiosModes, font_is_found_where_all_of_it_is) {
    std::vector<std::byte> bios = bios_with_font();
    const auto font = vga::find_font(bios);
    ASSERT_TRUE(font);
    EXPECT_EQ(font->data(), bios.data() + 0x1000);
    bios.pop_back();
    EXPECT_FALSE(vga::find_font(bios));
    EXPECT_FALSE(vga::find_font({}));
}

TEST(BiosModes, text_written_to_the_window_is_shown_in_the_font) {
    VgaMachine machine;
    machine.linear_mode(640, 480, 32);  // a reset may come at any time
    const std::vector<std::byte> bios = bios_with_font();
    vga::set_text_mode(machine.ports, machine.mmio, *vga::find_font(bios));
    machine.mmio.write(vga::k_text_address, 2, 0x1f41);  // A, white on blue
    machine.mmio.write(vga::k_text_address + 2, 2, 0x1fc0);  // with the ninth dot of line graphics: 0xc0 to 0xdf
    const auto cells = machine.screen.text();
    ASSERT_TRUE(cells);
    EXPECT_EQ(cells->columns, 80U);
    EXPECT_EQ(cells->rows, 25U);
    EXPECT_EQ(machine.size(), (ScreenSize{720, 400}));
    const std::vector<uint32_t> row = machine.row(5);
    constexpr uint32_t k_white = 0xffffff, k_blue = 0x0000aa, k_black = 0;
    for (const auto& [x, colour] : {std::pair{0, k_blue}, {1, k_white}, {7, k_white}, {8, k_blue}, {9, k_white}, {10, k_white}, {12, k_blue}, {18, k_black}}) {
        EXPECT_EQ(row[static_cast<size_t>(x)] & 0xffffff, colour) << x;
    }
}

TEST(BiosModes, linear_mode_shows_the_bytes_of_its_pixels) {
    constexpr uint32_t k_pixel = 0x123456;
    VgaMachine machine;
    vga::set_linear_mode(machine.ports, 640, 400);
    EXPECT_TRUE(machine.memory->write_value(VgaMachine::k_frame_buffer + 3 * 4, k_pixel));
    EXPECT_EQ(machine.size(), (ScreenSize{640, 400}));
    EXPECT_EQ(machine.row(0)[2] & 0xffffff, 0U);
    EXPECT_EQ(machine.row(0)[3] & 0xffffff, k_pixel);
}

}  // namespace
}  // namespace skep::test
