// SPDX-License-Identifier: GPL-3.0-or-later
// Paces a pointer: a mouse that reports a thousand times a second sends the guest sixty places, and none is late when a
// button goes down.
#pragma once

#include <QObject>
#include <QPoint>
#include <QTimer>
#include <cstdint>
#include <functional>

namespace skep::ui {

// Window thread. Buttons are PointerButton.
class PointerPacer : public QObject {
  public:
    static constexpr int k_interval_ms = 17;

    // A place (or, moved by move_by(), a way) with the buttons held there.
    using Send = std::function<void(QPoint point, uint8_t buttons)>;
    PointerPacer(Send place, Send way, QObject* parent = nullptr);

    void move_to(QPoint at);
    void move_by(QPoint by);
    // What waits is sent first, with the buttons as they were.
    void set_buttons(uint8_t buttons);
    [[nodiscard]] uint8_t buttons() const { return m_buttons; }
    [[nodiscard]] QPoint place() const { return m_at; }
    void flush();

  private:
    void paced();

    Send m_place;
    Send m_way;
    QTimer m_timer;
    QPoint m_at;
    QPoint m_by;
    bool m_relative = false;  // the last motion was a way
    bool m_waiting = false;
    uint8_t m_buttons = 0;
};

}  // namespace skep::ui
