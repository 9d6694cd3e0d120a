// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalFind: a linear search over at most ten thousand short lines.
#include "ui/console/terminal_find.hpp"

#include <algorithm>

namespace skep::ui {

namespace {

struct MappedText {
    QString text;
    std::vector<int> column_of;  // the cell each QChar came from
};

MappedText mapped(const TerminalLine& line) {
    MappedText result;
    for (size_t column = 0; column < line.size(); ++column) {
        if (line[column].width == 0) {
            continue;
        }
        const QString piece = text_of(line, static_cast<int>(column), static_cast<int>(column) + 1);
        result.text += piece.isEmpty() ? QStringLiteral(" ") : piece;
        result.column_of.resize(static_cast<size_t>(result.text.size()), static_cast<int>(column));
    }
    return result;
}

}  // namespace

void TerminalFind::refresh(const TerminalScreen& screen) {
    m_matches.clear();
    if (m_query.isEmpty()) {
        m_current.reset();
        return;
    }
    const bool exact = std::any_of(m_query.begin(), m_query.end(), [](QChar c) { return c.isUpper(); });
    const auto sensitivity = exact ? Qt::CaseSensitive : Qt::CaseInsensitive;
    for (int64_t number = screen.first_line(); number < screen.end_line(); ++number) {
        const TerminalLine line = screen.line(number);
        const MappedText content = mapped(line);
        qsizetype at = content.text.indexOf(m_query, 0, sensitivity);
        while (at >= 0) {
            const int from = content.column_of[static_cast<size_t>(at)];
            const int last = content.column_of[static_cast<size_t>(at + m_query.size() - 1)];
            const int width = std::max<int>(line[static_cast<size_t>(last)].width, 1);
            m_matches.push_back({{number, from}, last - from + width});
            at = content.text.indexOf(m_query, at + m_query.size(), sensitivity);
        }
    }
    if (m_matches.size() > k_max_matches) {
        m_matches.erase(m_matches.begin(), m_matches.end() - static_cast<ptrdiff_t>(k_max_matches));
    }
    if (m_current && std::find(m_matches.begin(), m_matches.end(), *m_current) == m_matches.end()) {
        m_current.reset();
    }
}

void TerminalFind::clear() {
    m_query.clear();
    m_matches.clear();
    m_current.reset();
}

std::vector<TerminalMatch> TerminalFind::matches_in(int64_t line) const {
    const auto before = [](const TerminalMatch& match, int64_t number) { return match.at.line < number; };
    auto it = std::lower_bound(m_matches.begin(), m_matches.end(), line, before);
    std::vector<TerminalMatch> result;
    for (; it != m_matches.end() && it->at.line == line; ++it) {
        result.push_back(*it);
    }
    return result;
}

int TerminalFind::current_number() const {
    if (!m_current) {
        return 0;
    }
    const auto it = std::find(m_matches.begin(), m_matches.end(), *m_current);
    return it == m_matches.end() ? 0 : static_cast<int>(it - m_matches.begin()) + 1;
}

void TerminalFind::step(int direction) {
    if (m_matches.empty()) {
        m_current.reset();
        return;
    }
    const int count = static_cast<int>(m_matches.size());
    const int number = current_number();
    const int index = number == 0 ? (direction > 0 ? 0 : count - 1) : (number - 1 + direction + count) % count;
    m_current = m_matches[static_cast<size_t>(index)];
}

void TerminalFind::next() {
    step(1);
}
void TerminalFind::previous() {
    step(-1);
}

void TerminalFind::select_before(TerminalPosition position) {
    m_current.reset();
    for (const TerminalMatch& match : m_matches) {
        if (match.at <= position || !m_current) {
            m_current = match;
        }
    }
}

}  // namespace skep::ui
