// SPDX-License-Identifier: GPL-3.0-or-later
// "Type clipboard as keys": text for a guest that shares no clipboard, as a person would type it on a US keyboard.
#pragma once

#include <QObject>
#include <QTimer>
#include <deque>
#include <functional>

#include "display/input/keysyms.hpp"

namespace skep::ui {

class ScreenTypist : public QObject {
    Q_OBJECT
  public:
    static constexpr int k_interval_ms = 12;  // firmware polls its keyboard slowly
    static constexpr size_t k_most = 20000;   // characters at once: four minutes

    using Send = std::function<void(KeyCode code, bool down)>;
    explicit ScreenTypist(Send send, QObject* parent = nullptr);

    // Kind invalid_input when a character is on no key, or there are too many; then nothing is typed.
    [[nodiscard]] Status type(const QString& text);
    void stop();
    [[nodiscard]] bool typing() const { return !m_left.empty(); }

  signals:
    // It types now, or no more.
    void typing_changed();

  private:
    void type_next();

    Send m_send;
    QTimer m_timer;
    std::deque<KeyStroke> m_left;
};

}  // namespace skep::ui
