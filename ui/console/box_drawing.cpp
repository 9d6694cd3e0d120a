// SPDX-License-Identifier: GPL-3.0-or-later
// Box Drawing and Block Elements by their names in the Unicode code charts U2500 and U2580.
#include "ui/console/box_drawing.hpp"

#include <QPainter>
#include <QPainterPath>
#include <algorithm>
#include <array>
#include <cstdint>

namespace skep::ui {

namespace {

// For 2500..257F the weight of the four arms, one hexadecimal digit each: up, right, down, left;
// 0 none, 1 light, 2 heavy, 3 double. Zero: a diagonal.
constexpr std::array<uint16_t, 128> k_arms = {
    0x0101, 0x0202, 0x1010, 0x2020, 0x0101, 0x0202, 0x1010, 0x2020, 0x0101, 0x0202, 0x1010, 0x2020, 0x0110,
    0x0210, 0x0120, 0x0220, 0x0011, 0x0012, 0x0021, 0x0022, 0x1100, 0x1200, 0x2100, 0x2200, 0x1001, 0x1002,
    0x2001, 0x2002, 0x1110, 0x1210, 0x2110, 0x1120, 0x2120, 0x2210, 0x1220, 0x2220, 0x1011, 0x1012, 0x2011,
    0x1021, 0x2021, 0x2012, 0x1022, 0x2022, 0x0111, 0x0112, 0x0211, 0x0212, 0x0121, 0x0122, 0x0221, 0x0222,
    0x1101, 0x1102, 0x1201, 0x1202, 0x2101, 0x2102, 0x2201, 0x2202, 0x1111, 0x1112, 0x1211, 0x1212, 0x2111,
    0x1121, 0x2121, 0x2112, 0x2211, 0x1122, 0x1221, 0x2212, 0x1222, 0x2122, 0x2221, 0x2222, 0x0101, 0x0202,
    0x1010, 0x2020, 0x0303, 0x3030, 0x0310, 0x0130, 0x0330, 0x0013, 0x0031, 0x0033, 0x1300, 0x3100, 0x3300,
    0x1003, 0x3001, 0x3003, 0x1310, 0x3130, 0x3330, 0x1013, 0x3031, 0x3033, 0x0313, 0x0131, 0x0333, 0x1303,
    0x3101, 0x3303, 0x1313, 0x3131, 0x3333, 0x0110, 0x0011, 0x1001, 0x1100, 0x0000, 0x0000, 0x0000, 0x0001,
    0x1000, 0x0100, 0x0010, 0x0002, 0x2000, 0x0200, 0x0020, 0x0201, 0x1020, 0x0102, 0x2010};

enum Arm { up, right, down, left };

struct Glyph {
    std::array<int, 4> arm;  // weights in the order of Arm
    QRect cell;
    int thin;    // width of a light line, pixels
    int offset;  // of a double line's strokes from the middle
    int cx;
    int cy;

    [[nodiscard]] bool is_double(int which) const { return arm[static_cast<size_t>(which)] == 3; }
    [[nodiscard]] int weight(int which) const { return arm[static_cast<size_t>(which)]; }
};

// A stroke along x from `from` to `to` (or along y when vertical), centred on `across`.
void stroke(QPainter& painter, const QColor& color, bool vertical, int from, int to, int across, int width) {
    const int edge = across - width / 2;
    painter.fillRect(vertical ? QRect(edge, from, width, to - from) : QRect(from, edge, to - from, width), color);
}

// Where a stroke of this arm begins next to the middle; `sign` is +1 when the arm runs to larger
// coordinates; `side` is -1/+1 for the two strokes of a double line, 0 for a single one.
int inner_end(const Glyph& glyph, int which, int sign, int side) {
    const bool vertical = which == up || which == down;
    const int middle = vertical ? glyph.cy : glyph.cx;
    const int low = vertical ? left : up;     // perpendicular arm at smaller coordinates
    const int high = vertical ? right : down;
    const bool opposite = glyph.weight((which + 2) % 4) != 0;
    if (side != 0) {
        const int near = side < 0 ? low : high;
        const int far = side < 0 ? high : low;
        if (glyph.is_double(near)) {
            return middle + sign * glyph.offset;
        }
        return glyph.is_double(far) ? middle - sign * glyph.offset : middle;
    }
    if (opposite) {
        return middle;
    }
    if (glyph.is_double(low) && glyph.is_double(high)) {
        return middle + sign * glyph.offset;
    }
    if (glyph.is_double(low) || glyph.is_double(high)) {
        return middle - sign * glyph.offset;
    }
    return middle;
}

void draw_arm(QPainter& painter, const QColor& color, const Glyph& glyph, int which) {
    const int weight = glyph.weight(which);
    if (weight == 0) {
        return;
    }
    const bool vertical = which == up || which == down;
    const int sign = which == right || which == down ? 1 : -1;
    const int across = vertical ? glyph.cx : glyph.cy;
    const int low_edge = vertical ? glyph.cell.top() : glyph.cell.left();
    const int high_edge = vertical ? glyph.cell.bottom() + 1 : glyph.cell.right() + 1;
    const int width = weight == 2 ? glyph.thin * 2 + 1 : glyph.thin;
    const auto one = [&](int side) {
        const int inner = inner_end(glyph, which, sign, side);
        const int overlap = (width + 1) / 2;  // so that a corner has no notch
        const int from = sign > 0 ? inner - width / 2 : low_edge;
        const int to = sign > 0 ? high_edge : inner + overlap;
        stroke(painter, color, vertical, from, to, across + side * glyph.offset, width);
    };
    if (weight == 3) {
        one(-1);
        one(1);
    } else {
        one(0);
    }
}

int dash_count(char32_t character) {
    if (character >= 0x2504 && character <= 0x2507) {
        return 3;
    }
    if (character >= 0x2508 && character <= 0x250b) {
        return 4;
    }
    return character >= 0x254c && character <= 0x254f ? 2 : 0;
}

void draw_dashes(QPainter& painter, const QColor& color, const Glyph& glyph, int count) {
    const bool vertical = glyph.weight(up) != 0;
    const int start = vertical ? glyph.cell.top() : glyph.cell.left();
    const int length = vertical ? glyph.cell.height() : glyph.cell.width();
    const int width = glyph.weight(vertical ? up : right) == 2 ? glyph.thin * 2 + 1 : glyph.thin;
    for (int i = 0; i < count; ++i) {
        const int from = start + i * length / count;
        const int to = start + (i + 1) * length / count - std::max(1, length / (count * 3));
        stroke(painter, color, vertical, from, to, vertical ? glyph.cx : glyph.cy, width);
    }
}

void draw_curve(QPainter& painter, const QColor& color, const Glyph& glyph, char32_t character) {
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(color, glyph.thin));
    const QRectF cell(glyph.cell);
    const double half = glyph.thin % 2 == 1 ? 0.5 : 0.0;
    const QPointF middle(glyph.cx + half, glyph.cy + half);
    if (character >= 0x2571) {
        if (character != 0x2572) {
            painter.drawLine(cell.bottomLeft(), cell.topRight());
        }
        if (character != 0x2571) {
            painter.drawLine(cell.topLeft(), cell.bottomRight());
        }
    } else {
        const double y = glyph.weight(up) != 0 ? cell.top() : cell.bottom();
        const double x = glyph.weight(left) != 0 ? cell.left() : cell.right();
        QPainterPath path(QPointF(middle.x(), y));
        path.quadTo(middle, QPointF(x, middle.y()));
        painter.drawPath(path);
    }
    painter.restore();
}

void draw_line_character(QPainter& painter, const QRect& cell, char32_t character, const QColor& color) {
    const uint16_t arms = k_arms[character - 0x2500];
    Glyph glyph{};
    for (int i = 0; i < 4; ++i) {
        glyph.arm[static_cast<size_t>(i)] = (arms >> (12 - 4 * i)) & 0xf;
    }
    glyph.cell = cell;
    glyph.thin = std::max(1, cell.width() / 8);
    glyph.offset = std::max(2, glyph.thin + cell.width() / 8);
    glyph.cx = cell.left() + cell.width() / 2;
    glyph.cy = cell.top() + cell.height() / 2;
    if (character >= 0x256d && character <= 0x2573) {
        draw_curve(painter, color, glyph, character);
        return;
    }
    if (const int dashes = dash_count(character); dashes != 0) {
        draw_dashes(painter, color, glyph, dashes);
        return;
    }
    for (const int which : {up, right, down, left}) {
        draw_arm(painter, color, glyph, which);
    }
}

// Part of the cell in eighths.
QRect eighths(const QRect& cell, int left_edge, int top_edge, int right_edge, int bottom_edge) {
    const auto x = [&](int n) { return cell.left() + cell.width() * n / 8; };
    const auto y = [&](int n) { return cell.top() + cell.height() * n / 8; };
    return {QPoint(x(left_edge), y(top_edge)), QPoint(x(right_edge) - 1, y(bottom_edge) - 1)};
}

void draw_quadrants(QPainter& painter, const QRect& cell, const QColor& color, char32_t character) {
    // 2596..259F; bits: 1 upper left, 2 upper right, 4 lower left, 8 lower right.
    constexpr std::array<int, 10> k_quadrants = {4, 8, 1, 13, 9, 7, 11, 2, 6, 14};
    const int bits = k_quadrants[character - 0x2596];
    for (int i = 0; i < 4; ++i) {
        if ((bits & (1 << i)) != 0) {
            const int x = (i & 1) * 4;
            const int y = (i >> 1) * 4;
            painter.fillRect(eighths(cell, x, y, x + 4, y + 4), color);
        }
    }
}

void draw_block_character(QPainter& painter, const QRect& cell, char32_t character, const QColor& color) {
    const int index = static_cast<int>(character - 0x2580);
    if (index == 0) {
        painter.fillRect(eighths(cell, 0, 0, 8, 4), color);
    } else if (index <= 8) {
        painter.fillRect(eighths(cell, 0, 8 - index, 8, 8), color);
    } else if (index <= 15) {
        painter.fillRect(eighths(cell, 0, 0, 16 - index, 8), color);
    } else if (index == 16) {
        painter.fillRect(eighths(cell, 4, 0, 8, 8), color);
    } else if (index <= 19) {
        QColor shade = color;
        shade.setAlphaF(static_cast<float>(index - 16) * 0.25F);
        painter.fillRect(cell, shade);
    } else if (index == 20) {
        painter.fillRect(eighths(cell, 0, 0, 8, 1), color);
    } else if (index == 21) {
        painter.fillRect(eighths(cell, 7, 0, 8, 8), color);
    } else {
        draw_quadrants(painter, cell, color, character);
    }
}

}  // namespace

bool is_box_character(char32_t character) { return character >= 0x2500 && character <= 0x259f; }

void draw_box_character(QPainter& painter, const QRect& cell, char32_t character, const QColor& color) {
    if (character < 0x2580) {
        draw_line_character(painter, cell, character, color);
    } else {
        draw_block_character(painter, cell, character, color);
    }
}

}  // namespace skep::ui
