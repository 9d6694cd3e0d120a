// SPDX-License-Identifier: GPL-3.0-or-later
// What one character cell of a terminal holds, free of libvterm's types (ECMA-48 SGR attributes).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace skep::ui {

// A colour as the guest asked for it; the widget's colour scheme turns it into pixels.
struct TerminalColor {
    enum class Kind : uint8_t { standard, indexed, rgb };
    Kind kind = Kind::standard;
    uint8_t red = 0;  // the palette index when indexed
    uint8_t green = 0;
    uint8_t blue = 0;

    bool operator==(const TerminalColor&) const = default;
};

enum class Underline : uint8_t { none, single, twice, curly };

struct TerminalStyle {
    TerminalColor foreground;
    TerminalColor background;
    Underline underline = Underline::none;
    bool bold = false;
    bool italic = false;
    bool blink = false;
    bool reverse = false;
    bool strike = false;

    bool operator==(const TerminalStyle&) const = default;
};

// A base character and up to two combining marks. A wide character takes two cells; the second one has
// width 0 and no character.
struct TerminalCell {
    std::array<char32_t, 3> chars{};
    TerminalStyle style;
    uint8_t width = 1;

    [[nodiscard]] bool blank() const { return chars[0] == 0 || chars[0] == U' '; }
};

// Cells from the left edge; cells past the end of the vector are blank.
using TerminalLine = std::vector<TerminalCell>;

// Lines are numbered from the first one the guest ever wrote, so a position stays with its text while new
// output scrolls by.
struct TerminalPosition {
    int64_t line = 0;
    int column = 0;

    auto operator<=>(const TerminalPosition&) const = default;
};

}  // namespace skep::ui
