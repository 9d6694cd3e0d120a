// SPDX-License-Identifier: GPL-3.0-or-later
// ConsoleConnection: bounded reads, so that a guest that floods its port cannot freeze the window.
#include "ui/console/console_connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace skep::ui {

ConsoleConnection::ConsoleConnection(ConsoleLink link, QObject* parent)
    : QObject(parent), m_socket(std::move(link.socket)), m_history_left(link.history_bytes) {
    m_readable = std::make_unique<QSocketNotifier>(m_socket.get(), QSocketNotifier::Read);
    m_writable = std::make_unique<QSocketNotifier>(m_socket.get(), QSocketNotifier::Write);
    m_writable->setEnabled(false);
    connect(m_readable.get(), &QSocketNotifier::activated, this, &ConsoleConnection::read_available);
    connect(m_writable.get(), &QSocketNotifier::activated, this, &ConsoleConnection::write_pending);
}

void ConsoleConnection::read_available() {
    std::array<char, 65536> buffer;
    const ssize_t count = recv(m_socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count <= 0) {
        close_link();
        return;
    }
    const auto old = static_cast<qsizetype>(std::min(m_history_left, static_cast<uint64_t>(count)));
    m_history_left -= static_cast<uint64_t>(old);
    const QByteArray bytes(buffer.data(), count);
    if (old > 0) {
        emit received(bytes.first(old), Answers::swallow);
    }
    if (old < count) {
        emit received(bytes.sliced(old), Answers::send);
    }
}

void ConsoleConnection::send(const QByteArray& bytes) {
    if (!open() || m_pending.size() + bytes.size() > k_max_pending_input) {
        return;
    }
    m_pending += bytes;
    write_pending();
}

void ConsoleConnection::write_pending() {
    while (!m_pending.isEmpty()) {
        const ssize_t count = ::send(m_socket.get(), m_pending.constData(), static_cast<size_t>(m_pending.size()),
                                     MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            break;
        }
        if (count < 0) {
            close_link();
            return;
        }
        m_pending.remove(0, count);
    }
    m_writable->setEnabled(!m_pending.isEmpty());
}

void ConsoleConnection::close_link() {
    if (!open()) {
        return;
    }
    m_readable->setEnabled(false);
    m_writable->setEnabled(false);
    m_pending.clear();
    m_socket = Fd();
    emit closed();
}

}  // namespace skep::ui
