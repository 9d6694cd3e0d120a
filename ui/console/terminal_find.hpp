// SPDX-License-Identifier: GPL-3.0-or-later
// Finding text in a terminal's scrollback and screen.
#pragma once

#include <QString>
#include <optional>
#include <vector>

#include "ui/console/terminal_screen.hpp"

namespace skep::ui {

struct TerminalMatch {
    TerminalPosition at;
    int cells = 0;

    bool operator==(const TerminalMatch&) const = default;
};

class TerminalFind {
  public:
    // Case is ignored unless the query holds a capital letter. Bounded: at most k_max_matches are kept,
    // the newest ones.
    static constexpr size_t k_max_matches = 5000;

    void set_query(const QString& query) { m_query = query; }
    [[nodiscard]] const QString& query() const { return m_query; }
    // Searches again, keeping the current match when it is still there.
    void refresh(const TerminalScreen& screen);
    void clear();

    [[nodiscard]] const std::vector<TerminalMatch>& matches() const { return m_matches; }
    [[nodiscard]] std::vector<TerminalMatch> matches_in(int64_t line) const;
    [[nodiscard]] std::optional<TerminalMatch> current() const { return m_current; }
    // 1-based number of the current match, 0 when there is none.
    [[nodiscard]] int current_number() const;
    void next();
    void previous();
    // The match nearest above the position, or the last one.
    void select_before(TerminalPosition position);

  private:
    void step(int direction);

    QString m_query;
    std::vector<TerminalMatch> m_matches;
    std::optional<TerminalMatch> m_current;
};

}  // namespace skep::ui
