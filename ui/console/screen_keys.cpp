// SPDX-License-Identifier: GPL-3.0-or-later
// Keys of the screen.
#include "ui/console/screen_keys.hpp"

#include <linux/input-event-codes.h>

#include <QKeyEvent>
#include <algorithm>
#include <utility>

#include "display/input/keysyms.hpp"

namespace skep::ui {

namespace {

constexpr uint32_t k_evdev_offset = 8;  // of X keycodes, which xkb and so Wayland kept

struct NamedKey {
    int key;  // Qt::Key
    KeyCode code;
};
// Keys without a character.
constexpr NamedKey k_named[] = {
    {Qt::Key_Escape, KEY_ESC},
    {Qt::Key_Tab, KEY_TAB},
    {Qt::Key_Backtab, KEY_TAB},
    {Qt::Key_Backspace, KEY_BACKSPACE},
    {Qt::Key_Return, KEY_ENTER},
    {Qt::Key_Enter, KEY_KPENTER},
    {Qt::Key_Insert, KEY_INSERT},
    {Qt::Key_Delete, KEY_DELETE},
    {Qt::Key_Pause, KEY_PAUSE},
    {Qt::Key_Print, KEY_SYSRQ},
    {Qt::Key_SysReq, KEY_SYSRQ},
    {Qt::Key_Home, KEY_HOME},
    {Qt::Key_End, KEY_END},
    {Qt::Key_Left, KEY_LEFT},
    {Qt::Key_Up, KEY_UP},
    {Qt::Key_Right, KEY_RIGHT},
    {Qt::Key_Down, KEY_DOWN},
    {Qt::Key_PageUp, KEY_PAGEUP},
    {Qt::Key_PageDown, KEY_PAGEDOWN},
    {Qt::Key_Shift, KEY_LEFTSHIFT},
    {Qt::Key_Control, KEY_LEFTCTRL},
    {Qt::Key_Meta, KEY_LEFTMETA},
    {Qt::Key_Alt, KEY_LEFTALT},
    {Qt::Key_AltGr, KEY_RIGHTALT},
    {Qt::Key_CapsLock, KEY_CAPSLOCK},
    {Qt::Key_NumLock, KEY_NUMLOCK},
    {Qt::Key_ScrollLock, KEY_SCROLLLOCK},
    {Qt::Key_Menu, KEY_COMPOSE},
    {Qt::Key_Super_L, KEY_LEFTMETA},
    {Qt::Key_Super_R, KEY_RIGHTMETA},
    {Qt::Key_F11, KEY_F11},
    {Qt::Key_F12, KEY_F12},
};

KeyCode key_of_symbol(const QKeyEvent& event) {
    const int key = event.key();
    if (key >= Qt::Key_F1 && key <= Qt::Key_F10) {
        return static_cast<KeyCode>(KEY_F1 + key - Qt::Key_F1);
    }
    const auto* const named = std::ranges::find(k_named, key, &NamedKey::key);
    if (named != std::end(k_named)) {
        return named->code;
    }
    // Qt names the keys of characters by their upper case, which has the same place.
    const auto stroke = key > 0 && key < 0x100 ? stroke_of_keysym(static_cast<uint32_t>(key)) : std::nullopt;
    return stroke ? stroke->key : KeyCode{0};
}

bool is_host_key(KeyCode code) {
    return code == KEY_LEFTCTRL || code == KEY_LEFTALT;
}

}  // namespace

KeyCode key_of_event(const QKeyEvent& event) {
    const uint32_t native = event.nativeScanCode();
    if (native >= k_evdev_offset && native - k_evdev_offset < k_key_codes) {
        return static_cast<KeyCode>(native - k_evdev_offset);
    }
    return native == 0 ? key_of_symbol(event) : KeyCode{0};
}

bool HeldKeys::down(KeyCode code) const {
    return std::ranges::find(m_down, code) != m_down.end();
}

void HeldKeys::press(KeyCode code) {
    if (!down(code)) {
        m_down.push_back(code);
    }
    m_host_key = is_host_key(code) && m_down.size() == 2 && down(KEY_LEFTCTRL) && down(KEY_LEFTALT);
    m_send(code, true);
}

void HeldKeys::release(KeyCode code) {
    if (std::erase(m_down, code) > 0) {
        m_send(code, false);
    }
}

void HeldKeys::release_all() {
    while (!m_down.empty()) {
        m_send(m_down.back(), false);
        m_down.pop_back();
    }
    m_host_key = false;
}

bool HeldKeys::take_host_key() {
    return std::exchange(m_host_key, false);
}

}  // namespace skep::ui
