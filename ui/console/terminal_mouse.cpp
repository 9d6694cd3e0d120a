// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalWidget and the mouse: selecting, links, and programs that asked for the mouse themselves
// (Shift always selects).
#include <QApplication>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QDesktopServices>
#include <QMouseEvent>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>

#include "ui/console/terminal_widget.hpp"

namespace skep::ui {

namespace {

KeyModifiers key_modifiers(Qt::KeyboardModifiers held) {
    return {(held & Qt::ShiftModifier) != 0, (held & Qt::AltModifier) != 0, (held & Qt::ControlModifier) != 0};
}

int xterm_button(Qt::MouseButton button) {
    switch (button) {
        case Qt::LeftButton:
            return 1;
        case Qt::MiddleButton:
            return 2;
        case Qt::RightButton:
            return 3;
        default:
            return 0;
    }
}

}  // namespace

// The boundary between cells nearest to the point: where a selection starts or ends.
TerminalPosition TerminalWidget::position_at(const QPoint& point) const {
    const int row = std::clamp(point.y() / m_cell_height, 0, m_screen.rows() - 1);
    const int column = std::clamp((point.x() + m_cell_width / 2) / m_cell_width, 0, m_screen.columns());
    return {view_top() + row, column};
}

TerminalPosition TerminalWidget::cell_under(const QPoint& point) const {
    const int row = std::clamp(point.y() / m_cell_height, 0, m_screen.rows() - 1);
    const int column = std::clamp(point.x() / m_cell_width, 0, m_screen.columns() - 1);
    return {view_top() + row, column};
}

QRect TerminalWidget::cell_rect(TerminalPosition position, int cells) const {
    return {position.column * m_cell_width, static_cast<int>(position.line - view_top()) * m_cell_height,
            cells * m_cell_width, m_cell_height};
}

bool TerminalWidget::guest_wants_mouse(const QMouseEvent& event) const {
    return m_screen.mouse_mode() != MouseMode::none && (event.modifiers() & Qt::ShiftModifier) == 0 && m_following;
}

void TerminalWidget::send_mouse(const QMouseEvent& event, int button, bool pressed) {
    const TerminalPosition at = cell_under(event.position().toPoint());
    const KeyModifiers modifiers = key_modifiers(event.modifiers());
    m_screen.send_mouse_move(static_cast<int>(at.line - m_screen.screen_top()), at.column, modifiers);
    if (button != 0) {
        m_screen.send_mouse_button(button, pressed, modifiers);
    }
}

void TerminalWidget::begin_selection(const QMouseEvent& event, SelectionMode mode) {
    const QPoint point = event.position().toPoint();
    m_selection.start(mode == SelectionMode::word ? cell_under(point) : position_at(point), mode);
    m_selecting = true;
    m_drag_point = point;
    viewport()->update();
}

void TerminalWidget::mousePressEvent(QMouseEvent* event) {
    const QPoint point = event->position().toPoint();
    if (event->button() == Qt::LeftButton && (event->modifiers() & Qt::ControlModifier) != 0) {
        if (const auto link = link_at(m_screen, cell_under(point))) {
            QDesktopServices::openUrl(QUrl(link->address, QUrl::StrictMode));
            return;
        }
    }
    if (guest_wants_mouse(*event)) {
        send_mouse(*event, xterm_button(event->button()), true);
        return;
    }
    if (event->button() == Qt::MiddleButton) {
        paste_text(QApplication::clipboard()->text(QClipboard::Selection));
        return;
    }
    if (event->button() != Qt::LeftButton) {
        return;
    }
    const bool third = m_click_timer.elapsed() < QApplication::doubleClickInterval() &&
                       (point - m_click_point).manhattanLength() < QApplication::startDragDistance();
    if (third) {
        begin_selection(*event, SelectionMode::line);
    } else if ((event->modifiers() & Qt::ShiftModifier) != 0 && !m_selection.empty(m_screen)) {
        m_selecting = true;
        m_selection.extend(position_at(point));
        viewport()->update();
    } else {
        const bool block = (event->modifiers() & Qt::AltModifier) != 0;
        begin_selection(*event, block ? SelectionMode::block : SelectionMode::character);
    }
}

void TerminalWidget::mouseDoubleClickEvent(QMouseEvent* event) {
    if (guest_wants_mouse(*event)) {
        send_mouse(*event, xterm_button(event->button()), true);
        return;
    }
    if (event->button() == Qt::LeftButton) {
        m_click_timer.restart();
        m_click_point = event->position().toPoint();
        begin_selection(*event, SelectionMode::word);
    }
}

void TerminalWidget::mouseMoveEvent(QMouseEvent* event) {
    const QPoint point = event->position().toPoint();
    update_link(point, event->modifiers());
    if (!m_selecting) {
        if (guest_wants_mouse(*event)) {
            send_mouse(*event, 0, false);
        }
        return;
    }
    m_drag_point = point;
    m_selection.extend(m_selection.mode() == SelectionMode::word ? cell_under(point) : position_at(point));
    const bool outside = point.y() < 0 || point.y() >= m_screen.rows() * m_cell_height;
    if (outside && !m_scroll_timer.isActive()) {
        m_scroll_timer.start();
    } else if (!outside) {
        m_scroll_timer.stop();
    }
    viewport()->update();
}

void TerminalWidget::auto_scroll() {
    QScrollBar* bar = verticalScrollBar();
    bar->setValue(bar->value() + (m_drag_point.y() < 0 ? -1 : 1));
    m_selection.extend(position_at(m_drag_point));
    viewport()->update();
}

void TerminalWidget::mouseReleaseEvent(QMouseEvent* event) {
    if (m_selecting && event->button() == Qt::LeftButton) {
        finish_selection();
        return;
    }
    if (guest_wants_mouse(*event)) {
        send_mouse(*event, xterm_button(event->button()), false);
    }
}

void TerminalWidget::finish_selection() {
    m_selecting = false;
    m_scroll_timer.stop();
    if (m_selection.empty(m_screen)) {
        m_selection.clear();
    } else if (QApplication::clipboard()->supportsSelection()) {
        QApplication::clipboard()->setText(selected_text(), QClipboard::Selection);
    }
    viewport()->update();
}

void TerminalWidget::wheelEvent(QWheelEvent* event) {
    const int delta = event->angleDelta().y();
    if ((event->modifiers() & Qt::ControlModifier) != 0) {
        set_point_size(point_size() + (delta > 0 ? 1 : -1));
        event->accept();
        return;
    }
    if (m_screen.mouse_mode() != MouseMode::none && (event->modifiers() & Qt::ShiftModifier) == 0 && delta != 0) {
        const TerminalPosition at = cell_under(event->position().toPoint());
        const KeyModifiers modifiers = key_modifiers(event->modifiers());
        m_screen.send_mouse_move(static_cast<int>(at.line - m_screen.screen_top()), at.column, modifiers);
        m_screen.send_mouse_button(delta > 0 ? 4 : 5, true, modifiers);
        event->accept();
        return;
    }
    QAbstractScrollArea::wheelEvent(event);
}

void TerminalWidget::update_link(const QPoint& point, Qt::KeyboardModifiers modifiers) {
    const TerminalPosition at = cell_under(point);
    const bool control = (modifiers & Qt::ControlModifier) != 0;
    auto link = control ? link_at(m_screen, at) : std::nullopt;
    const bool had = m_link.has_value();
    m_link.reset();
    if (link) {
        m_link = {at.line, *link};
    }
    viewport()->setCursor(m_link ? Qt::PointingHandCursor : Qt::IBeamCursor);
    if (had || m_link) {
        viewport()->update();
    }
}

bool TerminalWidget::viewportEvent(QEvent* event) {
    if (event->type() == QEvent::Leave && m_link) {
        m_link.reset();
        viewport()->update();
    }
    return QAbstractScrollArea::viewportEvent(event);
}

void TerminalWidget::contextMenuEvent(QContextMenuEvent* event) {
    if (m_screen.mouse_mode() == MouseMode::none || (event->modifiers() & Qt::ShiftModifier) != 0) {
        emit context_menu_requested(event->globalPos());
    }
}

}  // namespace skep::ui
