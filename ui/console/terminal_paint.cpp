// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalWidget's painting: backgrounds, runs of text, box characters, cursor.
#include <QApplication>
#include <QPaintEvent>
#include <QPainter>

#include "ui/console/box_drawing.hpp"
#include "ui/console/terminal_widget.hpp"

namespace skep::ui {

namespace {

// Characters that certainly come from the terminal's own font, one cell each: drawn as one string.
bool runs_together(const TerminalCell& cell) {
    return cell.width == 1 && cell.chars[1] == 0 && cell.chars[0] < 0x7f;
}

QString cell_text(const TerminalCell& cell) {
    QString text = cell.chars[0] == 0 ? QStringLiteral(" ") : QString();
    for (size_t i = 0; i < cell.chars.size() && cell.chars[i] != 0; ++i) {
        text += QString::fromUcs4(&cell.chars[i], 1);
    }
    return text;
}

void draw_lines(QPainter& painter, const QRect& area, int ascent, const QColor& color, const TerminalStyle& style) {
    const int base = area.top() + ascent;
    if (style.underline != Underline::none) {
        painter.fillRect(area.left(), base + 1, area.width(), 1, color);
        if (style.underline == Underline::twice) {
            painter.fillRect(area.left(), base + 3, area.width(), 1, color);
        }
    }
    if (style.strike) {
        painter.fillRect(area.left(), area.top() + area.height() / 2, area.width(), 1, color);
    }
}

}  // namespace

void TerminalWidget::paintEvent(QPaintEvent* event) {
    QPainter painter(viewport());
    const QColor background = m_screen.screen_reversed() ? m_palette.foreground() : m_palette.background();
    painter.fillRect(event->rect(), background);
    const int first = event->rect().top() / m_cell_height;
    const int last = std::min(event->rect().bottom() / m_cell_height, m_screen.rows() - 1);
    for (int row = first; row <= last; ++row) {
        paint_line(painter, view_top() + row);
    }
    if (m_line == Line::alive) {
        paint_cursor(painter);
    } else {
        painter.setFont(QApplication::font());
        painter.setPen(m_palette.foreground());
        painter.drawText(viewport()->rect(), Qt::AlignCenter | Qt::TextWordWrap, m_dead_text);
    }
    if (m_flash) {
        QColor flash = m_palette.foreground();
        flash.setAlpha(60);
        painter.fillRect(viewport()->rect(), flash);
    }
}

TerminalWidget::Look TerminalWidget::look_at(int64_t number, int column, const TerminalCell& cell,
                                             const LineMarks& marks) const {
    const auto pair = m_palette.colors(cell.style, m_screen.screen_reversed());
    Look look{pair.foreground, pair.background, cell.style};
    for (const TerminalMatch& match : marks.matches) {
        if (column >= match.at.column && column < match.at.column + match.cells) {
            look.background = m_palette.indexed(m_find.current() == match ? 11 : 3);
            look.foreground = m_palette.indexed(0);
        }
    }
    if (column >= marks.selected.first && column < marks.selected.second) {
        look.background = m_palette.selection();
        look.foreground = m_palette.selected_text();
    }
    if (m_link && m_link->first == number && column >= m_link->second.from && column < m_link->second.to) {
        look.style.underline = Underline::single;
    }
    return look;
}

void TerminalWidget::paint_line(QPainter& painter, int64_t number) {
    const TerminalLine line = m_screen.line(number);
    const LineMarks marks{m_selection.columns_in(m_screen, number), m_find.matches_in(number)};
    const auto cell_at = [&](int column) {
        return std::cmp_less(column, line.size()) ? line[static_cast<size_t>(column)] : TerminalCell{};
    };
    for (int column = 0; column < m_screen.columns();) {
        const TerminalCell cell = cell_at(column);
        const Look look = look_at(number, column, cell, marks);
        int cells = std::max<int>(cell.width, 1);
        QString run = cell_text(cell);
        if (runs_together(cell)) {
            while (column + cells < m_screen.columns()) {
                const TerminalCell next = cell_at(column + cells);
                if (!runs_together(next) || look_at(number, column + cells, next, marks) != look) {
                    break;
                }
                run += cell_text(next);
                ++cells;
            }
        }
        paint_run(painter, cell_rect({number, column}, cells), run, look);
        column += cells;
    }
}

void TerminalWidget::paint_run(QPainter& painter, const QRect& area, const QString& run, const Look& look) {
    if (look.background != m_palette.background()) {
        painter.fillRect(area, look.background);
    }
    if (look.style.blink && !m_blink_on && hasFocus()) {
        return;
    }
    if (run.size() == 1 && is_box_character(run[0].unicode())) {
        draw_box_character(painter, area, run[0].unicode(), look.foreground);
    } else if (!run.trimmed().isEmpty()) {
        QFont styled = font();
        styled.setBold(look.style.bold);
        styled.setItalic(look.style.italic);
        painter.setFont(styled);
        painter.setPen(look.foreground);
        painter.drawText(QPoint(area.left(), area.top() + m_ascent), run);
    }
    draw_lines(painter, area, m_ascent, look.foreground, look.style);
}

void TerminalWidget::paint_cursor(QPainter& painter) {
    const TerminalPosition at = m_screen.cursor();
    if (!m_screen.cursor_visible() || at.line < view_top() || at.line >= view_top() + m_screen.rows()) {
        return;
    }
    const TerminalLine line = m_screen.line(at.line);
    const TerminalCell cell =
        std::cmp_less(at.column, line.size()) ? line[static_cast<size_t>(at.column)] : TerminalCell{};
    const QRect area = cell_rect(at, std::max<int>(cell.width, 1));
    const auto colors = m_palette.colors(cell.style, m_screen.screen_reversed());
    if (!m_preedit.isEmpty()) {
        const QRect text_area = cell_rect(at, static_cast<int>(m_preedit.size()) * 2);
        painter.fillRect(text_area, m_palette.background());
        painter.setPen(m_palette.foreground());
        painter.drawText(QPoint(text_area.left(), text_area.top() + m_ascent), m_preedit);
        return;
    }
    if (!hasFocus()) {
        painter.setPen(colors.foreground);
        painter.drawRect(area.adjusted(0, 0, -1, -1));
        return;
    }
    if (m_screen.cursor_blinks() && !m_blink_on) {
        return;
    }
    switch (m_screen.cursor_shape()) {
        case CursorShape::underline:
            painter.fillRect(area.adjusted(0, area.height() - 2, 0, 0), colors.foreground);
            break;
        case CursorShape::bar:
            painter.fillRect(area.left(), area.top(), 2, area.height(), colors.foreground);
            break;
        case CursorShape::block:
            painter.fillRect(area, colors.foreground);
            if (is_box_character(cell.chars[0])) {
                draw_box_character(painter, area, cell.chars[0], colors.background);
            } else if (!cell.blank()) {
                painter.setPen(colors.background);
                painter.drawText(QPoint(area.left(), area.top() + m_ascent), cell_text(cell));
            }
            break;
    }
}

}  // namespace skep::ui
