// SPDX-License-Identifier: GPL-3.0-or-later
// What is selected in a terminal: two positions in the numbered text and how they are read.
#pragma once

#include <QString>
#include <optional>

#include "ui/console/terminal_screen.hpp"

namespace skep::ui {

enum class SelectionMode { character, word, line, block };

// Lives beside a TerminalScreen; line numbers are absolute, so it survives new output.
class TerminalSelection {
  public:
    void start(TerminalPosition at, SelectionMode mode);
    void extend(TerminalPosition to);
    void clear() { m_active = false; }
    void select_all(const TerminalScreen& screen);

    // False also for a plain click that never moved.
    [[nodiscard]] bool empty(const TerminalScreen& screen) const;
    [[nodiscard]] SelectionMode mode() const { return m_mode; }
    // Columns [first, second) of the line that are selected; none when first == second.
    [[nodiscard]] std::pair<int, int> columns_in(const TerminalScreen& screen, int64_t line) const;
    [[nodiscard]] QString text(const TerminalScreen& screen) const;

  private:
    struct Range {
        TerminalPosition from;
        TerminalPosition to;  // one past the end
    };
    [[nodiscard]] std::optional<Range> range(const TerminalScreen& screen) const;

    bool m_active = false;
    SelectionMode m_mode = SelectionMode::character;
    TerminalPosition m_anchor;
    TerminalPosition m_head;
};

// The http or https address at a position, with its columns; guest text is never trusted with another scheme.
struct TerminalLink {
    QString address;
    int from = 0;
    int to = 0;
};
[[nodiscard]] std::optional<TerminalLink> link_at(const TerminalScreen& screen, TerminalPosition at);

}  // namespace skep::ui
