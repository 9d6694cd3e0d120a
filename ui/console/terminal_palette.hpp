// SPDX-License-Identifier: GPL-3.0-or-later
// From the colours a guest names to pixels. Text and background come from the desktop's palette (or a scheme
// the user chose); the sixteen ANSI colours are the terminal's own.
#pragma once

#include <QColor>
#include <QPalette>
#include <array>

#include "ui/console/terminal_cell.hpp"

namespace skep::ui {

enum class TerminalScheme { system, dark, light };

class TerminalPalette {
  public:
    explicit TerminalPalette(const QPalette& desktop = {}, TerminalScheme scheme = TerminalScheme::system);

    struct Pair {
        QColor foreground;
        QColor background;
    };
    // With reverse video and "bold is bright" applied. The sixteen ANSI colours stay readable on the terminal's own
    // background (white text on a white one would be none); a background or true colour of the guest's is kept.
    [[nodiscard]] Pair colors(const TerminalStyle& style, bool screen_reversed) const;
    [[nodiscard]] QColor indexed(int index) const;
    [[nodiscard]] QColor background() const { return m_background; }
    [[nodiscard]] QColor foreground() const { return m_foreground; }
    [[nodiscard]] QColor selection() const { return m_selection; }
    [[nodiscard]] QColor selected_text() const { return m_selected_text; }

  private:
    QColor m_foreground;
    QColor m_background;
    QColor m_selection;
    QColor m_selected_text;
    std::array<QColor, 16> m_readable;
};

// Contrast ratio of WCAG 2.1 (1 to 21).
[[nodiscard]] double contrast(const QColor& one, const QColor& other);

}  // namespace skep::ui
