// SPDX-License-Identifier: GPL-3.0-or-later
// One viewer's socket to a guest's serial port (console.open of the control protocol), driven by Qt's event loop.
#pragma once

#include <QByteArray>
#include <QObject>
#include <QSocketNotifier>
#include <memory>

#include "ui/console/terminal_screen.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/control/console_link.hpp"

namespace skep::ui {

// Window thread. The worker sends the kept history first: questions in it (DA, CPR) are old and not answered.
class ConsoleConnection : public QObject {
    Q_OBJECT
  public:
    static constexpr qsizetype k_max_pending_input = 1 << 20;

    explicit ConsoleConnection(ConsoleLink link, QObject* parent = nullptr);

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
    uint64_t m_history_left;
};

}  // namespace skep::ui
