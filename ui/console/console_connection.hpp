// SPDX-License-Identifier: GPL-3.0-or-later
// One viewer's socket to a guest's serial port (console.open of the control protocol), driven by Qt's event loop.
#pragma once

#include <QByteArray>
#include <QElapsedTimer>
#include <QObject>
#include <QSocketNotifier>
#include <QTimer>
#include <memory>

#include "ui/console/terminal_screen.hpp"
#include "vmm/base/fd.hpp"

namespace skep::ui {

// Window thread. The worker sends the kept history first and does not mark its end, so questions in the stream
// (DA, CPR) count as old until the line has been quiet for k_history_quiet_ms, or for k_history_max_ms at most.
class ConsoleConnection : public QObject {
    Q_OBJECT
  public:
    static constexpr int k_history_quiet_ms = 100;
    static constexpr int k_history_max_ms = 1500;
    static constexpr qsizetype k_max_pending_input = 1 << 20;

    // Takes a connected, non-blocking stream socket.
    explicit ConsoleConnection(Fd socket, QObject* parent = nullptr);

    void send(const QByteArray& bytes);
    [[nodiscard]] bool open() const { return m_socket.get() >= 0; }

  signals:
    void received(const QByteArray& bytes, skep::ui::Answers answers);
    void closed();

  private:
    void read_available();
    void write_pending();
    void close_link();

    Fd m_socket;
    std::unique_ptr<QSocketNotifier> m_readable;
    std::unique_ptr<QSocketNotifier> m_writable;
    QByteArray m_pending;
    QElapsedTimer m_age;
    QTimer m_quiet;
    Answers m_answers = Answers::swallow;
};

}  // namespace skep::ui
