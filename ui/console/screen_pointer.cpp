// SPDX-License-Identifier: GPL-3.0-or-later
// PointerPacer.
#include "ui/console/screen_pointer.hpp"

#include <utility>

namespace skep::ui {

PointerPacer::PointerPacer(Send place, Send way, QObject* parent)
    : QObject(parent), m_place(std::move(place)), m_way(std::move(way)) {
    m_timer.setInterval(k_interval_ms);
    m_timer.setSingleShot(true);
    m_timer.setTimerType(Qt::PreciseTimer);
    connect(&m_timer, &QTimer::timeout, this, [this] {
        if (m_waiting) {
            paced();
        }
    });
}

void PointerPacer::move_to(QPoint at) {
    if (at == m_at && !m_relative && !m_waiting) {
        return;
    }
    m_relative = false;
    m_at = at;
    m_waiting = true;
    paced();
}

void PointerPacer::move_by(QPoint by) {
    m_relative = true;
    m_by += by;
    m_waiting = true;
    paced();
}

// The first motion after a rest goes at once, the next ones when the interval is over.
void PointerPacer::paced() {
    if (!m_timer.isActive()) {
        flush();
        m_timer.start();
    }
}

void PointerPacer::flush() {
    if (!std::exchange(m_waiting, false)) {
        return;
    }
    if (m_relative) {
        m_way(std::exchange(m_by, {}), m_buttons);
    } else {
        m_place(m_at, m_buttons);
    }
}

void PointerPacer::set_buttons(uint8_t buttons) {
    if (buttons == m_buttons) {
        return;
    }
    flush();
    m_buttons = buttons;
    m_waiting = true;
    flush();
}

}  // namespace skep::ui
