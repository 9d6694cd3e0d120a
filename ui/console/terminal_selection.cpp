// SPDX-License-Identifier: GPL-3.0-or-later
// Selection arithmetic: words, lines, blocks, and links under the pointer.
#include "ui/console/terminal_selection.hpp"

#include <QRegularExpression>
#include <algorithm>

namespace skep::ui {

namespace {

// Characters besides letters and digits that belong to a word: paths, addresses, options.
bool word_character(const TerminalCell& cell) {
    const char32_t c = cell.chars[0];
    if (cell.width == 0) {
        return true;  // the second half goes with the first
    }
    return QChar::isLetterOrNumber(c) || (c < 0x80 && c != 0 && QByteArrayView("-_./:?&=%+#~@").contains(char(c)));
}

int word_start(const TerminalLine& line, int column) {
    while (column > 0 && word_character(line[static_cast<size_t>(column - 1)])) {
        --column;
    }
    return column;
}

int word_end(const TerminalLine& line, int column) {
    while (std::cmp_less(column, line.size()) && word_character(line[static_cast<size_t>(column)])) {
        ++column;
    }
    return column;
}

bool in_word(const TerminalLine& line, int column) {
    return column >= 0 && std::cmp_less(column, line.size()) && word_character(line[static_cast<size_t>(column)]);
}

}  // namespace

void TerminalSelection::start(TerminalPosition at, SelectionMode mode) {
    m_active = true;
    m_mode = mode;
    m_anchor = at;
    m_head = at;
}

void TerminalSelection::extend(TerminalPosition to) {
    m_head = to;
}

void TerminalSelection::select_all(const TerminalScreen& screen) {
    start({screen.first_line(), 0}, SelectionMode::line);
    extend({screen.end_line() - 1, screen.columns()});
}

std::optional<TerminalSelection::Range> TerminalSelection::range(const TerminalScreen& screen) const {
    if (!m_active) {
        return {};
    }
    Range range{std::min(m_anchor, m_head), std::max(m_anchor, m_head)};
    if (m_mode == SelectionMode::line) {
        range = {{range.from.line, 0}, {range.to.line, screen.columns()}};
    } else if (m_mode == SelectionMode::word) {
        const TerminalLine first = screen.line(range.from.line);
        const TerminalLine last = screen.line(range.to.line);
        if (in_word(first, range.from.column)) {
            range.from.column = word_start(first, range.from.column);
        }
        range.to.column = in_word(last, range.to.column) ? word_end(last, range.to.column) : range.to.column + 1;
    } else if (m_mode == SelectionMode::block) {
        const auto [left, right] = std::minmax(m_anchor.column, m_head.column);
        range.from.column = left;
        range.to.column = right;
    }
    // Text that has left the scrollback is no longer selected.
    if (range.to.line < screen.first_line()) {
        return {};
    }
    if (range.from.line < screen.first_line()) {
        range.from = {screen.first_line(), m_mode == SelectionMode::block ? range.from.column : 0};
    }
    return range;
}

bool TerminalSelection::empty(const TerminalScreen& screen) const {
    const auto selected = range(screen);
    if (!selected) {
        return true;
    }
    return m_mode == SelectionMode::block ? selected->from.column == selected->to.column
                                          : selected->from == selected->to;
}

std::pair<int, int> TerminalSelection::columns_in(const TerminalScreen& screen, int64_t line) const {
    const auto selected = range(screen);
    if (!selected || line < selected->from.line || line > selected->to.line) {
        return {0, 0};
    }
    if (m_mode == SelectionMode::block) {
        return {selected->from.column, selected->to.column};
    }
    const int from = line == selected->from.line ? selected->from.column : 0;
    const int to = line == selected->to.line ? selected->to.column : screen.columns();
    return {from, std::max(from, to)};
}

QString TerminalSelection::text(const TerminalScreen& screen) const {
    const auto selected = range(screen);
    if (!selected || empty(screen)) {
        return {};
    }
    QString text;
    const int64_t last = std::min(selected->to.line, screen.end_line() - 1);
    for (int64_t line = selected->from.line; line <= last; ++line) {
        const auto [from, to] = columns_in(screen, line);
        text += text_of(screen.line(line), from, to);
        if (line != last) {
            text += u'\n';
        }
    }
    while (m_mode == SelectionMode::line && text.endsWith(QStringLiteral("\n\n"))) {
        text.chop(1);
    }
    return text;
}

std::optional<TerminalLink> link_at(const TerminalScreen& screen, TerminalPosition at) {
    static const QRegularExpression pattern(QStringLiteral(R"(https?://[^\s<>"'`{}|\\^\[\]]+)"));
    // One QChar a cell, so that a match's offset is a column.
    QString text;
    for (const TerminalCell& cell : screen.line(at.line)) {
        text += cell.chars[0] > 0x20 && cell.chars[0] < 0xd800 ? QChar(static_cast<char16_t>(cell.chars[0])) : u' ';
    }
    auto matches = pattern.globalMatch(text);
    while (matches.hasNext()) {
        const auto match = matches.next();
        QString address = match.captured();
        while (!address.isEmpty() && QStringLiteral(".,;:!?)").contains(address.back())) {
            address.chop(1);
        }
        const int from = static_cast<int>(match.capturedStart());
        const int to = from + static_cast<int>(address.size());
        if (at.column >= from && at.column < to) {
            return TerminalLink{address, from, to};
        }
    }
    return {};
}

}  // namespace skep::ui
