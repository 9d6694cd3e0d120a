// SPDX-License-Identifier: GPL-3.0-or-later
// Text modes: the guest's fonts, colours, cursor and blinking, and what of it a viewer is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/devices/video/vga_fixture.hpp"

namespace skep::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Nanoseconds k_cursor_half = 228'000'000;

struct VgaTextTest : testing::Test, VgaMachine {
    VgaTextTest() {
        text_mode(4, 3);
        glyph(0, 'A', {0x80, 0x41, 0x00, 0xff});
        glyph(0x4000, 'A', {0x0f, 0x0f, 0x0f, 0x0f});
        update = view->take();
    }
    // As firmware does it: map 2 alone, sequential addresses.
    void glyph(uint16_t font, uint8_t character, std::initializer_list<uint8_t> lines) {
        indexed(0x3c4, 2, 0x04);
        indexed(0x3c4, 4, 0x06);
        indexed(0x3ce, 5, 0x00);
        indexed(0x3ce, 6, 0x04);
        uint64_t address = k_window + font + character * 32U;
        for (const uint8_t line : lines) {
            mmio.write(address++, 1, line);
        }
        indexed(0x3c4, 2, 0x03);
        indexed(0x3c4, 4, 0x02);
        indexed(0x3ce, 5, 0x10);
        indexed(0x3ce, 6, 0x0e);
    }
    void put(unsigned cell, uint8_t character, uint8_t attribute) {
        mmio.write(k_text_window + cell * 2, 2, character | attribute << 8);
    }
    std::vector<uint32_t> cell_row(uint32_t y, unsigned column = 0) {
        const std::vector<uint32_t> pixels = row(y);
        return {pixels.begin() + column * 8, pixels.begin() + column * 8 + 8};
    }
    const uint32_t on = blue(15), off = blue(1);
};

TEST_F(VgaTextTest, character_is_drawn_with_the_guests_font_and_colours) {
    put(5, 'A', 0x1f);
    EXPECT_EQ(size(), (ScreenSize{32, 12}));
    EXPECT_THAT(cell_row(4, 1), ElementsAre(on, off, off, off, off, off, off, off));
    EXPECT_THAT(cell_row(5, 1), ElementsAre(off, on, off, off, off, off, off, on));
    EXPECT_THAT(cell_row(7, 1), ElementsAre(on, on, on, on, on, on, on, on));
}

TEST_F(VgaTextTest, changed_cell_is_the_only_damage) {
    put(6, 'A', 0x1f);
    update = view->take();
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{16, 4, 24, 8}));
    EXPECT_TRUE(view->take().damage.empty());
}

TEST_F(VgaTextTest, screen_that_was_written_with_what_it_held_is_no_damage) {
    put(6, 'A', 0x1f);
    update = view->take();
    put(6, 'A', 0x1f);
    EXPECT_TRUE(view->take().damage.empty());
}

TEST_F(VgaTextTest, scrolling_by_the_start_address_moves_the_text) {
    put(4, 'A', 0x1f);
    indexed(0x3d4, 0x0d, 4);
    EXPECT_THAT(cell_row(3), ElementsAre(on, on, on, on, on, on, on, on));
    EXPECT_EQ(screen.text()->characters[0], 'A');
}

TEST_F(VgaTextTest, attribute_bit_3_chooses_the_second_font_when_there_are_two) {
    indexed(0x3c4, 3, 0x04);  // font A at 0x4000, B at 0
    put(0, 'A', 0x1f);
    put(1, 'A', 0x17);
    EXPECT_THAT(cell_row(0), ElementsAre(off, off, off, off, on, on, on, on));
    EXPECT_EQ(cell_row(0, 1)[0], blue(7));
}

TEST_F(VgaTextTest, new_font_redraws_its_characters) {
    put(0, 'A', 0x1f);
    update = view->take();
    glyph(0, 'A', {0x00, 0x00, 0x00, 0x01});
    EXPECT_THAT(cell_row(0), ElementsAre(off, off, off, off, off, off, off, off));
    EXPECT_THAT(cell_row(3), ElementsAre(off, off, off, off, off, off, off, on));
}

TEST_F(VgaTextTest, nine_dot_characters_continue_line_graphics) {
    glyph(0, 0xc4, {0xff, 0, 0, 0});
    indexed(0x3c4, 1, 0x00);
    attribute(0x10, 0x04);
    screen_on();
    put(0, 0xc4, 0x1f);
    put(1, 'A', 0x1f);
    EXPECT_EQ(size(), (ScreenSize{36, 12}));
    EXPECT_EQ(row(0)[8], on);
    EXPECT_EQ(row(3)[17], off) << "an ordinary character's ninth dot is background";
}

TEST_F(VgaTextTest, cursor_blinks_and_then_stays_lit) {
    indexed(0x3d4, 0x0e, 0);
    indexed(0x3d4, 0x0f, 2);
    indexed(0x3d4, 0x0b, 3);
    indexed(0x3d4, 0x0a, 2);
    put(2, ' ', 0x1f);
    EXPECT_EQ(cell_row(2, 2)[0], on);
    EXPECT_EQ(cell_row(1, 2)[0], off);
    clock.advance(k_cursor_half);
    EXPECT_EQ(cell_row(2, 2)[0], off);
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{16, 2, 24, 4}));
    clock.advance(10'000'000'000);
    EXPECT_EQ(cell_row(2, 2)[0], on);
    for (int i = 0; i < 20; ++i) {
        clock.advance(k_cursor_half);
        EXPECT_TRUE(view->take().damage.empty()) << "a still screen has no damage";
    }
}

TEST_F(VgaTextTest, blinking_characters_follow_the_clock) {
    attribute(0x10, 0x08);
    screen_on();
    put(0, 'A', 0x9f);
    EXPECT_EQ(cell_row(3)[0], on);
    clock.advance(2 * k_cursor_half);
    EXPECT_EQ(cell_row(3)[0], off);
    clock.advance(2 * k_cursor_half);
    EXPECT_EQ(cell_row(3)[0], on);
}

TEST_F(VgaTextTest, bright_background_when_blinking_is_off) {
    put(0, ' ', 0x9f);
    EXPECT_EQ(cell_row(0)[0], blue(9));
}

TEST_F(VgaTextTest, cells_and_cursor_are_told_as_text) {
    put(1, 'A', 0x1f);
    put(9, 'b', 0x1f);
    indexed(0x3d4, 0x0f, 9);
    const std::optional<TextCells> cells = screen.text();
    ASSERT_TRUE(cells);
    EXPECT_EQ(cells->columns, 4U);
    EXPECT_EQ(cells->rows, 3U);
    EXPECT_EQ(cells->characters[9], 'b');
    EXPECT_EQ(cells->attributes[1], 0x1f);
    EXPECT_EQ(cells->cursor_row, 2U);
    EXPECT_EQ(cells->cursor_column, 1U);
    linear_mode(64, 64, 32);
    EXPECT_FALSE(screen.text());
}

// Saved between an attribute's index and its value, with an index of the CRTC chosen and fonts loaded.
TEST_F(VgaTextTest, text_and_half_written_registers_are_the_same_in_another_machine) {
    put(5, 'A', 0x1f);
    indexed(0x3d4, 0x0f, 9);
    in(0x3da);
    out(0x3c0, 0x20 | 0x11);  // the border's colour: its value is yet to come
    VgaMachine other;
    ASSERT_TRUE(other.become(*this));
    EXPECT_EQ(other.row(5), row(5)) << "letters with the guest's font";
    EXPECT_THAT(cell_row(5, 1), ElementsAre(off, on, off, off, off, off, off, on));
    EXPECT_EQ(other.screen.text()->cursor_column, 1U);
    other.out(0x3c0, 0x2a);
    other.in(0x3da);
    other.out(0x3c0, 0x20 | 0x11);
    EXPECT_EQ(other.in(0x3c1), 0x2aU);
    EXPECT_EQ(other.in(0x3d5), 9U) << "the CRTC's index is kept";
}

TEST_F(VgaTextTest, screen_off_is_black_and_of_the_same_size) {
    put(0, ' ', 0x9f);
    update = view->take();
    indexed(0x3c4, 1, 0x21);
    EXPECT_EQ(size(), (ScreenSize{32, 12}));
    EXPECT_EQ(cell_row(0)[0], 0U);
    indexed(0x3c4, 1, 0x01);
    EXPECT_EQ(cell_row(0)[0], blue(9));
}

}  // namespace
}  // namespace skep::test
