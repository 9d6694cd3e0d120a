// SPDX-License-Identifier: GPL-3.0-or-later
// Sends pasted text to a serial port at a pace that its 16550 and the guest can follow.
#pragma once

#include <QByteArray>
#include <QObject>
#include <QTimer>

namespace skep::ui {

// The bytes a terminal would get if the text were typed: line ends become CR, other control characters
// (except tab) are dropped, so that a clipboard cannot press Ctrl+D or start an escape sequence.
[[nodiscard]] QByteArray typed_bytes(const QString& text);
// More than one line: the guest may run each as a command, so the user is asked first.
[[nodiscard]] bool needs_confirmation(const QString& text);

class PastePacer : public QObject {
    Q_OBJECT
  public:
    // Half of what 115200 baud carries: 64 bytes each 10 ms.
    static constexpr int k_chunk_bytes = 64;
    static constexpr int k_interval_ms = 10;
    static constexpr qsizetype k_max_bytes = 16 << 20;

    explicit PastePacer(QObject* parent = nullptr);

    // Queues behind what is still being sent; what would exceed k_max_bytes is refused (false).
    bool add(const QByteArray& bytes);
    void cancel();
    [[nodiscard]] bool active() const { return m_sent < m_queue.size(); }

  signals:
    void chunk(const QByteArray& bytes);
    void finished();

  private:
    void send_next();

    QByteArray m_queue;
    qsizetype m_sent = 0;
    QTimer m_timer;
};

}  // namespace skep::ui
