// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/keysym_keyboard.hpp"

#include <linux/input-event-codes.h>

#include <cctype>

namespace skep {
namespace {

constexpr size_t k_most_symbols = 256;  // held at once by a viewer that means no harm

// Caps Lock reaches the guest as a key, so the guest makes letters large itself.
bool is_letter(uint32_t keysym) { return keysym < 0x80 && std::isalpha(static_cast<int>(keysym)) != 0; }

}  // namespace

void KeysymKeyboard::key(KeyCode code, bool down) {
    if (code < k_key_codes) {
        m_down[code] = down;
        m_hub.key(code, down);
    }
}

void KeysymKeyboard::symbol(uint32_t keysym, bool down) {
    if (!down) {
        if (const auto held = m_symbols.find(keysym); held != m_symbols.end()) {
            key(held->second, false);
            m_symbols.erase(held);
        }
        return;
    }
    const auto stroke = stroke_of_keysym(keysym);
    if (!stroke || m_symbols.size() >= k_most_symbols) {
        return;
    }
    m_symbols[keysym] = stroke->key;
    press(*stroke, is_character(keysym) && !is_letter(keysym));
}

// A French '1' comes with Shift held and a French '@' with AltGr, a US keyboard's '1' with neither: for the moment of
// the press the guest sees the modifiers that its own layout wants.
void KeysymKeyboard::press(const KeyStroke& stroke, bool character) {
    const bool have_shift = m_down[KEY_LEFTSHIFT] || m_down[KEY_RIGHTSHIFT];
    const bool have_altgr = m_down[KEY_RIGHTALT];
    if (!character || (have_shift == stroke.shift && !have_altgr)) {
        key(stroke.key, true);
        return;
    }
    for (const KeyCode modifier : {KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_RIGHTALT}) {
        if (m_down[modifier] && (modifier == KEY_RIGHTALT || !stroke.shift)) {
            m_hub.key(modifier, false);
        }
    }
    const bool lend_shift = stroke.shift && !have_shift;
    if (lend_shift) {
        m_hub.key(KEY_LEFTSHIFT, true);
    }
    key(stroke.key, true);
    if (lend_shift) {
        m_hub.key(KEY_LEFTSHIFT, false);
    }
    for (const KeyCode modifier : {KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_RIGHTALT}) {
        if (m_down[modifier] && (modifier == KEY_RIGHTALT || !stroke.shift)) {
            m_hub.key(modifier, true);
        }
    }
}

void KeysymKeyboard::release_all() {
    for (KeyCode code = 0; code < k_key_codes; ++code) {
        if (m_down[code]) {
            key(code, false);
        }
    }
    m_symbols.clear();
}

}  // namespace skep
