// SPDX-License-Identifier: GPL-3.0-or-later
// PastePacer: chunks on a timer.
#include "ui/console/paste_pacer.hpp"

namespace skep::ui {

QByteArray typed_bytes(const QString& text) {
    QString typed;
    typed.reserve(text.size());
    for (qsizetype i = 0; i < text.size(); ++i) {
        const QChar c = text[i];
        if (c == u'\n' || c == u'\r') {
            if (c == u'\r' && i + 1 < text.size() && text[i + 1] == u'\n') {
                ++i;
            }
            typed += u'\r';
        } else if (c == u'\t' || (c.unicode() >= 0x20 && (c.unicode() < 0x7f || c.unicode() > 0x9f))) {
            typed += c;
        }
    }
    return typed.toUtf8();
}

bool needs_confirmation(const QString& text) {
    const QByteArray bytes = typed_bytes(text);
    const qsizetype first = bytes.indexOf('\r');
    return first >= 0 && first + 1 < bytes.size();
}

PastePacer::PastePacer(QObject* parent) : QObject(parent) {
    m_timer.setInterval(k_interval_ms);
    connect(&m_timer, &QTimer::timeout, this, &PastePacer::send_next);
}

bool PastePacer::add(const QByteArray& bytes) {
    if (m_queue.size() - m_sent + bytes.size() > k_max_bytes) {
        return false;
    }
    const bool idle = !active();
    m_queue.remove(0, m_sent);
    m_sent = 0;
    m_queue += bytes;
    if (idle && active()) {
        send_next();
        m_timer.start();
    }
    return true;
}

void PastePacer::cancel() {
    m_queue.clear();
    m_sent = 0;
    m_timer.stop();
    emit finished();
}

void PastePacer::send_next() {
    const QByteArray piece = m_queue.mid(m_sent, k_chunk_bytes);
    m_sent += piece.size();
    if (!piece.isEmpty()) {
        emit chunk(piece);
    }
    if (!active()) {
        cancel();
    }
}

}  // namespace skep::ui
