// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenTypist.
#include "ui/console/screen_typist.hpp"

#include <linux/input-event-codes.h>

namespace skep::ui {

ScreenTypist::ScreenTypist(Send send, QObject* parent) : QObject(parent), m_send(std::move(send)) {
    m_timer.setInterval(k_interval_ms);
    connect(&m_timer, &QTimer::timeout, this, &ScreenTypist::type_next);
}

Status ScreenTypist::type(const QString& text) {
    const auto strokes = strokes_of_text(text.toStdString());
    if (!strokes) {
        return tl::unexpected(strokes.error());
    }
    if (m_left.size() + strokes->size() > k_most) {
        return fail(ErrorKind::invalid_input, "The text has more than {} characters: type a part of it.", k_most);
    }
    m_left.insert(m_left.end(), strokes->begin(), strokes->end());
    m_timer.start();
    emit typing_changed();
    return {};
}

void ScreenTypist::stop() {
    if (typing()) {
        m_left.clear();
        emit typing_changed();
    }
}

void ScreenTypist::type_next() {
    if (m_left.empty()) {
        m_timer.stop();
        return;
    }
    const KeyStroke stroke = m_left.front();
    m_left.pop_front();
    if (stroke.shift) {
        m_send(KEY_LEFTSHIFT, true);
    }
    m_send(stroke.key, true);
    m_send(stroke.key, false);
    if (stroke.shift) {
        m_send(KEY_LEFTSHIFT, false);
    }
    if (m_left.empty()) {
        emit typing_changed();
    }
}

}  // namespace skep::ui
