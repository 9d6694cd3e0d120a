// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/console/terminal_palette.hpp"

#include <gtest/gtest.h>

namespace skep::ui {
namespace {

TerminalStyle with_foreground(uint8_t index, bool bold) {
    TerminalStyle style;
    style.foreground = {TerminalColor::Kind::indexed, index, 0, 0};
    style.bold = bold;
    return style;
}

TEST(TerminalPalette, contrast_is_that_of_wcag) {
    EXPECT_NEAR(contrast(Qt::black, Qt::white), 21.0, 0.01);
    EXPECT_NEAR(contrast(Qt::white, Qt::black), 21.0, 0.01);
    EXPECT_NEAR(contrast(QColor(0x77, 0x77, 0x77), Qt::white), 4.48, 0.01);
}

TEST(TerminalPalette, every_ansi_colour_is_readable_on_light_and_dark) {
    for (const TerminalScheme scheme : {TerminalScheme::light, TerminalScheme::dark, TerminalScheme::system}) {
        const TerminalPalette palette({}, scheme);
        for (uint8_t index = 0; index < 16; ++index) {
            const auto pair = palette.colors(with_foreground(index, index % 2 == 0), false);
            EXPECT_GE(contrast(pair.foreground, pair.background), 2.99) << "colour " << int{index};
        }
    }
}

TEST(TerminalPalette, colours_that_are_readable_stay_as_they_are) {
    const TerminalPalette palette({}, TerminalScheme::dark);
    EXPECT_EQ(palette.colors(with_foreground(2, false), false).foreground, palette.indexed(2));
    const TerminalPalette light({}, TerminalScheme::light);
    EXPECT_EQ(light.colors(with_foreground(1, false), false).foreground, light.indexed(1));
}

TEST(TerminalPalette, background_and_true_colour_of_the_guest_are_kept) {
    const TerminalPalette palette({}, TerminalScheme::light);
    TerminalStyle style = with_foreground(15, false);
    style.background = {TerminalColor::Kind::indexed, 4, 0, 0};
    EXPECT_EQ(palette.colors(style, false).foreground, palette.indexed(15)) << "white on blue, as an installer draws";
    TerminalStyle faint;
    faint.foreground = {TerminalColor::Kind::rgb, 0xfe, 0xfe, 0xfe};
    EXPECT_EQ(palette.colors(faint, false).foreground, QColor(0xfe, 0xfe, 0xfe));
}

}  // namespace
}  // namespace skep::ui
