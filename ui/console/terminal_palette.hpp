// SPDX-License-Identifier: GPL-3.0-or-later
// From the colours a guest names to pixels. Text and background come from the desktop's palette (or a scheme
// the user chose); the sixteen ANSI colours are the terminal's own.
#pragma once

#include <QColor>
#include <QPalette>

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
    // With reverse video and "bold is bright" applied.
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
};

}  // namespace skep::ui
