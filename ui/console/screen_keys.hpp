// SPDX-License-Identifier: GPL-3.0-or-later
// Which key of a PC keyboard a key event of the window came from: by its place, whatever the host's layout prints on
// it.
#pragma once

#include <functional>
#include <vector>

#include "display/input/input_hub.hpp"

class QKeyEvent;

namespace skep::ui {

// Under X11 and Wayland the native scan code is the evdev code + 8. Where the platform tells none (offscreen, VNC),
// the symbol counts, as a US keyboard has it. 0: no key of a PC keyboard.
[[nodiscard]] KeyCode key_of_event(const QKeyEvent& event);

// The keys that a viewer holds down in its guest.
class HeldKeys {
  public:
    using Send = std::function<void(KeyCode code, bool down)>;
    explicit HeldKeys(Send send) : m_send(std::move(send)) {}

    void press(KeyCode code);    // again for a repeat
    void release(KeyCode code);  // nothing for a key that was not pressed here
    void release_all();          // the last one pressed first
    [[nodiscard]] bool down(KeyCode code) const;
    // The host key, Ctrl+Alt: both are down, or were until now, and no other key went down meanwhile.
    [[nodiscard]] bool take_host_key();

  private:
    Send m_send;
    std::vector<KeyCode> m_down;
    bool m_host_key = false;
};

}  // namespace skep::ui
