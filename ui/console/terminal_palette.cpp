// SPDX-License-Identifier: GPL-3.0-or-later
// The 256 colours of xterm: sixteen ANSI ones, a 6x6x6 cube, 24 greys.
#include "ui/console/terminal_palette.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace skep::ui {

namespace {

constexpr std::array<QRgb, 16> k_ansi = {0x1c1c1c, 0xc0302b, 0x3f9b3a, 0xb58900, 0x2b5fb4, 0x9a4aa8,
                                         0x1f9aa0, 0xd0d0d0, 0x6c6c6c, 0xef5350, 0x67c95f, 0xf2c744,
                                         0x5c9bf5, 0xd081dc, 0x4fd0d6, 0xffffff};

int cube_level(int step) {
    return step == 0 ? 0 : 55 + 40 * step;
}

}  // namespace

TerminalPalette::TerminalPalette(const QPalette& desktop, TerminalScheme scheme)
    : m_foreground(desktop.color(QPalette::Text)),
      m_background(desktop.color(QPalette::Base)),
      m_selection(desktop.color(QPalette::Highlight)),
      m_selected_text(desktop.color(QPalette::HighlightedText)) {
    if (scheme == TerminalScheme::dark) {
        m_foreground = QColor::fromRgb(k_ansi[7]);
        m_background = QColor::fromRgb(k_ansi[0]);
    } else if (scheme == TerminalScheme::light) {
        m_foreground = QColor::fromRgb(k_ansi[0]);
        m_background = QColor::fromRgb(k_ansi[15]);
    }
}

QColor TerminalPalette::indexed(int index) const {
    if (index < 16) {
        return QColor::fromRgb(k_ansi[static_cast<size_t>(std::max(index, 0))]);
    }
    if (index < 232) {
        const int cube = index - 16;
        return {cube_level(cube / 36), cube_level(cube / 6 % 6), cube_level(cube % 6)};
    }
    const int grey = 8 + 10 * (std::min(index, 255) - 232);
    return {grey, grey, grey};
}

TerminalPalette::Pair TerminalPalette::colors(const TerminalStyle& style, bool screen_reversed) const {
    const auto resolve = [&](const TerminalColor& color, const QColor& standard, bool bright) -> QColor {
        switch (color.kind) {
            case TerminalColor::Kind::standard:
                return standard;
            case TerminalColor::Kind::indexed:
                return indexed(color.red < 8 && bright ? color.red + 8 : color.red);
            case TerminalColor::Kind::rgb:
                break;
        }
        return {color.red, color.green, color.blue};
    };
    Pair pair{resolve(style.foreground, m_foreground, style.bold), resolve(style.background, m_background, false)};
    if (style.reverse != screen_reversed) {
        std::swap(pair.foreground, pair.background);
    }
    return pair;
}

}  // namespace skep::ui
