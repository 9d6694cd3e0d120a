// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenWidget: keys and pointer.
#include <linux/input-event-codes.h>

#include <QKeyEvent>
#include <QMouseEvent>
#include <QWheelEvent>

#include "ui/console/screen_client.hpp"
#include "ui/console/screen_widget.hpp"

namespace skep::ui {

namespace {

constexpr int k_notch = 120;  // QWheelEvent::angleDelta() of one

uint8_t button_bit(Qt::MouseButton button) {
    switch (button) {
        case Qt::LeftButton:
            return k_button_left;
        case Qt::RightButton:
            return k_button_right;
        case Qt::MiddleButton:
            return k_button_middle;
        case Qt::BackButton:
            return k_button_side;
        case Qt::ForwardButton:
            return k_button_extra;
        default:
            return 0;
    }
}

}  // namespace

// --- keys

bool ScreenWidget::event(QEvent* event) {
    if (event->type() == QEvent::ShortcutOverride && m_client && m_client->connected()) {
        event->accept();  // the key is the guest's, not a menu's
        return true;
    }
    return QAbstractScrollArea::event(event);
}

void ScreenWidget::keyPressEvent(QKeyEvent* event) {
    const KeyCode code = key_of_event(*event);
    if (!m_client || code == 0) {
        event->ignore();
        return;
    }
    if (code == KEY_ENTER && m_keys.down(KEY_LEFTCTRL) && m_keys.down(KEY_LEFTALT)) {
        m_keys.release_all();
        emit full_screen_requested();
        return;
    }
    m_keys.press(code);
}

void ScreenWidget::keyReleaseEvent(QKeyEvent* event) {
    if (event->isAutoRepeat()) {
        return;  // the key is still down; the press that follows repeats it
    }
    m_keys.release(key_of_event(*event));
    if (m_keys.take_host_key()) {
        let_go();
        emit host_key_pressed();
    }
}

void ScreenWidget::focusOutEvent(QFocusEvent* event) {
    let_go();
    QAbstractScrollArea::focusOutEvent(event);
}

void ScreenWidget::send_chord(const std::vector<KeyCode>& keys) {
    m_keys.release_all();
    for (const KeyCode code : keys) {
        m_keys.press(code);
    }
    m_keys.release_all();
}

// --- pointer

void ScreenWidget::set_pointer_kind(bool absolute) {
    if (absolute != m_absolute) {
        m_absolute = absolute;
        let_go();
        show_cursor();
        emit grab_changed();
    }
}

void ScreenWidget::grab() {
    m_grabbed = true;
    viewport()->grabMouse();
    show_cursor();
    QCursor::setPos(viewport()->mapToGlobal(viewport()->rect().center()));
    emit grab_changed();
}

void ScreenWidget::let_go() {
    m_keys.release_all();
    m_pointer.set_buttons(0);
    if (m_grabbed) {
        m_grabbed = false;
        viewport()->releaseMouse();
        show_cursor();
        emit grab_changed();
    }
}

void ScreenWidget::show_cursor() {
    if (m_grabbed) {
        viewport()->setCursor(Qt::BlankCursor);
    } else if (!m_cursor || !m_client || !m_absolute) {
        viewport()->unsetCursor();
    } else if (m_cursor->image.isNull()) {
        viewport()->setCursor(Qt::BlankCursor);
    } else {
        const double scale = geometry_now().scale();
        const QSize size = (QSizeF(m_cursor->image.size()) * scale).toSize().expandedTo({1, 1});
        QPixmap pixmap =
            QPixmap::fromImage(size == m_cursor->image.size()
                                   ? m_cursor->image
                                   : m_cursor->image.scaled(size, Qt::IgnoreAspectRatio, Qt::SmoothTransformation));
        const double ratio = devicePixelRatioF();
        pixmap.setDevicePixelRatio(ratio);
        const QPoint hot = (QPointF(m_cursor->hot_spot) * scale / ratio).toPoint();
        viewport()->setCursor(QCursor(pixmap, hot.x(), hot.y()));
    }
}

void ScreenWidget::motion(const QMouseEvent& event) {
    if (m_absolute) {
        const QPointF in_window = viewport()->mapTo(window(), event.position());
        m_pointer.move_to(geometry_now().to_guest(in_window * devicePixelRatioF()));
    } else if (m_grabbed) {
        // The host's pointer is put back into the middle, so that it never meets an edge.
        const QPoint middle = viewport()->rect().center();
        const QPoint moved = event.position().toPoint() - middle;
        if (!moved.isNull()) {
            m_pointer.move_by(moved);
            QCursor::setPos(viewport()->mapToGlobal(middle));
        }
    }
}

void ScreenWidget::button(const QMouseEvent& event, bool down) {
    const uint8_t bit = button_bit(event.button());
    motion(event);
    m_pointer.set_buttons(static_cast<uint8_t>(down ? m_pointer.buttons() | bit : m_pointer.buttons() & ~bit));
}

void ScreenWidget::mousePressEvent(QMouseEvent* event) {
    setFocus(Qt::MouseFocusReason);
    if (!m_absolute && !m_grabbed && m_client && m_client->connected()) {
        grab();  // this click only hands the pointer over
        return;
    }
    button(*event, true);
}

void ScreenWidget::mouseReleaseEvent(QMouseEvent* event) {
    button(*event, false);
}

void ScreenWidget::mouseMoveEvent(QMouseEvent* event) {
    motion(*event);
    emit pointer_at(event->globalPosition().toPoint());
}

void ScreenWidget::wheelEvent(QWheelEvent* event) {
    event->accept();
    if (!m_client || (!m_absolute && !m_grabbed)) {
        return;
    }
    m_pointer.flush();
    m_wheel += event->angleDelta();
    const QPoint at = m_absolute ? m_pointer.place() : QPoint(0x7fff, 0x7fff);
    const int down = -m_wheel.y() / k_notch;  // away from the user is positive in Qt
    const int right = -m_wheel.x() / k_notch;
    m_wheel += QPoint(right, down) * k_notch;
    m_client->send_wheel(at, Qt::Vertical, down, m_pointer.buttons());
    m_client->send_wheel(at, Qt::Horizontal, right, m_pointer.buttons());
}

}  // namespace skep::ui
