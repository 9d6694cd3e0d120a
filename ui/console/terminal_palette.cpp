// SPDX-License-Identifier: GPL-3.0-or-later
// The 256 colours of xterm: sixteen ANSI ones, a 6x6x6 cube, 24 greys.
#include "ui/console/terminal_palette.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace skep::ui {

namespace {

constexpr std::array<QRgb, 16> k_ansi = {0x1c1c1c, 0xc0302b, 0x3f9b3a, 0xb58900, 0x2b5fb4, 0x9a4aa8,
                                         0x1f9aa0, 0xd0d0d0, 0x6c6c6c, 0xef5350, 0x67c95f, 0xf2c744,
                                         0x5c9bf5, 0xd081dc, 0x4fd0d6, 0xffffff};

int cube_level(int step) {
    return step == 0 ? 0 : 55 + 40 * step;
}

constexpr double k_least_contrast = 3.0;

double linear(double channel) {
    return channel <= 0.03928 ? channel / 12.92 : std::pow((channel + 0.055) / 1.055, 2.4);
}

double luminance(const QColor& color) {
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

// As much of the plain text's colour as it takes.
QColor readable(const QColor& color, const QColor& text, const QColor& background) {
    constexpr int k_steps = 10;
    QColor mixed = color;
    for (int step = 1; step <= k_steps && contrast(mixed, background) < k_least_contrast; ++step) {
        const auto mix = [step](int from, int to) { return from + (to - from) * step / k_steps; };
        mixed = QColor(mix(color.red(), text.red()), mix(color.green(), text.green()), mix(color.blue(), text.blue()));
    }
    return mixed;
}

}  // namespace

double contrast(const QColor& one, const QColor& other) {
    const double first = luminance(one);
    const double second = luminance(other);
    return (std::max(first, second) + 0.05) / (std::min(first, second) + 0.05);
}

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
    for (size_t i = 0; i < m_readable.size(); ++i) {
        m_readable[i] = readable(QColor::fromRgb(k_ansi[i]), m_foreground, m_background);
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
    const TerminalColor& wanted = style.foreground;
    if (wanted.kind == TerminalColor::Kind::indexed && wanted.red < 16 &&
        style.background.kind == TerminalColor::Kind::standard) {
        pair.foreground = m_readable[wanted.red < 8 && style.bold ? wanted.red + 8U : wanted.red];
    }
    if (style.reverse != screen_reversed) {
        std::swap(pair.foreground, pair.background);
    }
    return pair;
}

}  // namespace skep::ui
