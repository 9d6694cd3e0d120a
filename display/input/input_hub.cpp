// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/input_hub.hpp"

#include <algorithm>
#include <utility>

namespace skep {
namespace {

// 0 .. extent - 1 to 0 .. k_absolute_most, the edges meeting.
uint32_t to_absolute(uint32_t place, uint32_t extent) {
    if (extent < 2) {
        return 0;
    }
    const uint64_t last = extent - 1;
    return static_cast<uint32_t>((std::min<uint64_t>(place, last) * PointerSink::k_absolute_most + last / 2) / last);
}

template <typename Sink>
Sink* last_listening(const std::vector<Sink*>& sinks) {
    const auto found = std::find_if(sinks.rbegin(), sinks.rend(), [](const Sink* sink) { return sink->listening(); });
    return found != sinks.rend() ? *found : nullptr;
}

}  // namespace

void InputHub::add(KeyboardSink& keyboard) {
    const std::lock_guard lock(m_mutex);
    m_keyboards.push_back(&keyboard);
}

void InputHub::add(PointerSink& pointer) {
    const std::lock_guard lock(m_mutex);
    m_pointers.push_back(&pointer);
}

void InputHub::remove(KeyboardSink& keyboard) {
    const std::lock_guard lock(m_mutex);
    for (KeyCode code = 0; code < k_key_codes; ++code) {
        if (m_down_on[code] == &keyboard) {
            m_down_on[code] = nullptr;
            keyboard.key(code, false);
        }
    }
    std::erase(m_keyboards, &keyboard);
}

void InputHub::remove(PointerSink& pointer) {
    const std::lock_guard lock(m_mutex);
    if (m_pressed_on == &pointer) {
        m_pressed_on = nullptr;
        place(pointer, 0);
    }
    std::erase(m_pointers, &pointer);
}

KeyboardSink* InputHub::keyboard() const { return last_listening(m_keyboards); }

PointerSink* InputHub::pointer() const { return last_listening(m_pointers); }

void InputHub::place(PointerSink& pointer, uint8_t buttons) const {
    if (pointer.absolute()) {
        pointer.move_to(m_absolute_x, m_absolute_y, buttons);
    } else {
        pointer.move_by(0, 0, buttons);
    }
}

void InputHub::key(KeyCode code, bool down) {
    if (code == 0 || code >= k_key_codes) {
        return;
    }
    const std::lock_guard lock(m_mutex);
    KeyboardSink*& down_on = m_down_on[code];
    if (!down) {
        if (KeyboardSink* const pressed = std::exchange(down_on, nullptr); pressed != nullptr) {
            pressed->key(code, false);
        }
        return;
    }
    // A held key repeats where it was pressed, though another keyboard may have begun to listen.
    KeyboardSink* const to = down_on != nullptr ? down_on : keyboard();
    if (to != nullptr) {
        down_on = to;
        to->key(code, true);
    }
}

void InputHub::release_all_keys() {
    const std::lock_guard lock(m_mutex);
    for (KeyCode code = 0; code < k_key_codes; ++code) {
        if (KeyboardSink* const pressed = std::exchange(m_down_on[code], nullptr); pressed != nullptr) {
            pressed->key(code, false);
        }
    }
}

bool InputHub::pointer_is_absolute() const {
    const std::lock_guard lock(m_mutex);
    const PointerSink* const to = pointer();
    return to != nullptr && to->absolute();
}

// A button is released on the device that it was pressed on: the guest may have started its tablet's driver since.
PointerSink* InputHub::pointer_for(uint8_t buttons) {
    PointerSink* const to = pointer();
    if (m_pressed_on != nullptr && m_pressed_on != to) {
        place(*m_pressed_on, 0);
        m_pressed_on = nullptr;
    }
    m_buttons = buttons;
    if (to != nullptr) {
        m_pressed_on = buttons != 0 ? to : nullptr;
    }
    return to;
}

void InputHub::move_to(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint8_t buttons) {
    const std::lock_guard lock(m_mutex);
    const auto next_x = static_cast<int32_t>(std::min(x, width != 0 ? width - 1 : 0));
    const auto next_y = static_cast<int32_t>(std::min(y, height != 0 ? height - 1 : 0));
    const int32_t right = m_placed ? next_x - m_x : 0;
    const int32_t down = m_placed ? next_y - m_y : 0;
    m_placed = true;
    m_x = next_x;
    m_y = next_y;
    m_absolute_x = to_absolute(x, width);
    m_absolute_y = to_absolute(y, height);
    PointerSink* const to = pointer_for(buttons);
    if (to != nullptr && to->absolute()) {
        to->move_to(m_absolute_x, m_absolute_y, buttons);
    } else if (to != nullptr) {
        to->move_by(right, down, buttons);
    }
}

void InputHub::move_by(int32_t x, int32_t y, uint8_t buttons) {
    const std::lock_guard lock(m_mutex);
    PointerSink* const to = pointer_for(buttons);
    if (to != nullptr && to->absolute()) {
        to->move_to(m_absolute_x, m_absolute_y, buttons);  // its place is the viewer's business: only buttons count
    } else if (to != nullptr) {
        to->move_by(x, y, buttons);
    }
}

void InputHub::wheel(int32_t vertical, int32_t horizontal) {
    const std::lock_guard lock(m_mutex);
    if (PointerSink* const to = pointer_for(m_buttons); to != nullptr) {
        to->wheel(vertical, horizontal, m_buttons);
    }
}

}  // namespace skep
