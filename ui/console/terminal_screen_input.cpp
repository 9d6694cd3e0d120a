// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalScreen: keys, mouse and pastes as the bytes a guest expects.
#include <vterm.h>

#include <algorithm>

#include "ui/console/terminal_screen.hpp"

namespace skep::ui {

namespace {

VTermModifier vterm_modifiers(KeyModifiers modifiers) {
    return static_cast<VTermModifier>((modifiers.shift ? VTERM_MOD_SHIFT : 0) | (modifiers.alt ? VTERM_MOD_ALT : 0) |
                                      (modifiers.control ? VTERM_MOD_CTRL : 0));
}

VTermKey vterm_key(TerminalKey key, int function_number) {
    switch (key) {
        case TerminalKey::enter:
            return VTERM_KEY_ENTER;
        case TerminalKey::tab:
        case TerminalKey::back_tab:
            return VTERM_KEY_TAB;
        case TerminalKey::backspace:
            return VTERM_KEY_BACKSPACE;
        case TerminalKey::escape:
            return VTERM_KEY_ESCAPE;
        case TerminalKey::up:
            return VTERM_KEY_UP;
        case TerminalKey::down:
            return VTERM_KEY_DOWN;
        case TerminalKey::left:
            return VTERM_KEY_LEFT;
        case TerminalKey::right:
            return VTERM_KEY_RIGHT;
        case TerminalKey::insert:
            return VTERM_KEY_INS;
        case TerminalKey::del:
            return VTERM_KEY_DEL;
        case TerminalKey::home:
            return VTERM_KEY_HOME;
        case TerminalKey::end:
            return VTERM_KEY_END;
        case TerminalKey::page_up:
            return VTERM_KEY_PAGEUP;
        case TerminalKey::page_down:
            return VTERM_KEY_PAGEDOWN;
        case TerminalKey::function:
            return static_cast<VTermKey>(VTERM_KEY_FUNCTION(std::clamp(function_number, 1, 24)));
    }
    return VTERM_KEY_NONE;
}

// libvterm 0.1 writes modified Enter, Tab and friends in the "CSI u" form, which nothing on a serial line
// understands: those keys send the plain byte (after Escape when Alt is down).
bool plain_byte_key(TerminalKey key) {
    return key == TerminalKey::enter || key == TerminalKey::tab || key == TerminalKey::backspace ||
           key == TerminalKey::escape;
}

// The control code of Ctrl+character on an ASCII keyboard, or -1.
int control_code(char32_t character) {
    if (character >= U'a' && character <= U'z') {
        return static_cast<int>(character - U'a' + 1);
    }
    if (character >= U'@' && character <= U'_') {
        return static_cast<int>(character - U'@');
    }
    switch (character) {
        case U' ':
        case U'2':
            return 0;
        case U'3':
            return 0x1b;
        case U'4':
            return 0x1c;
        case U'5':
            return 0x1d;
        case U'6':
            return 0x1e;
        case U'7':
        case U'/':
        case U'-':
            return 0x1f;
        case U'8':
        case U'?':
            return 0x7f;
        default:
            return -1;
    }
}

}  // namespace

QByteArray TerminalScreen::captured(const std::function<void()>& action) {
    const QByteArray before = std::exchange(m_output, {});
    action();
    return std::exchange(m_output, before);
}

void TerminalScreen::send_key(TerminalKey key, KeyModifiers modifiers, int function_number) {
    if (key == TerminalKey::back_tab) {
        modifiers.shift = true;
    }
    const bool escape_first = plain_byte_key(key) && modifiers.alt;
    if (plain_byte_key(key)) {
        modifiers = {};
    }
    QByteArray bytes = captured(
        [&] { vterm_keyboard_key(m_term.get(), vterm_key(key, function_number), vterm_modifiers(modifiers)); });
    if (escape_first) {
        bytes.prepend('\x1b');
    }
    if (!bytes.isEmpty() && m_events.output) {
        m_events.output(bytes);
    }
}

void TerminalScreen::send_character(char32_t character, KeyModifiers modifiers) {
    QByteArray bytes;
    const int control = modifiers.control ? control_code(character) : -1;
    if (control >= 0) {
        bytes.append(static_cast<char>(control));
    } else {
        bytes = QString::fromUcs4(&character, 1).toUtf8();
    }
    if (modifiers.alt) {
        bytes.prepend('\x1b');
    }
    if (m_events.output) {
        m_events.output(bytes);
    }
}

void TerminalScreen::send_mouse_move(int row, int column, KeyModifiers modifiers) {
    const QByteArray bytes = captured([&] { vterm_mouse_move(m_term.get(), row, column, vterm_modifiers(modifiers)); });
    if (!bytes.isEmpty() && m_events.output) {
        m_events.output(bytes);
    }
}

void TerminalScreen::send_mouse_button(int button, bool pressed, KeyModifiers modifiers) {
    const QByteArray bytes =
        captured([&] { vterm_mouse_button(m_term.get(), button, pressed, vterm_modifiers(modifiers)); });
    if (!bytes.isEmpty() && m_events.output) {
        m_events.output(bytes);
    }
}

QByteArray TerminalScreen::paste_start() {
    return captured([&] { vterm_keyboard_start_paste(m_term.get()); });
}

QByteArray TerminalScreen::paste_end() {
    return captured([&] { vterm_keyboard_end_paste(m_term.get()); });
}

}  // namespace skep::ui
