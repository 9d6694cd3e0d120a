// SPDX-License-Identifier: GPL-3.0-or-later
// Key mapping. The window keeps Ctrl+Shift+letter, Shift+scrolling and Ctrl with + - 0; the rest is the guest's.
#include "ui/console/terminal_keys.hpp"

#include <QKeyEvent>

#include "ui/console/terminal_screen.hpp"

namespace skep::ui {

namespace {

struct CommandKey {
    Qt::KeyboardModifiers modifiers;
    int key;
    TerminalCommand command;
};

constexpr Qt::KeyboardModifiers k_ctrl = Qt::ControlModifier;
constexpr Qt::KeyboardModifiers k_shift = Qt::ShiftModifier;
constexpr Qt::KeyboardModifiers k_ctrl_shift = Qt::ControlModifier | Qt::ShiftModifier;

constexpr CommandKey k_commands[] = {
    {k_ctrl_shift, Qt::Key_C, TerminalCommand::copy},
    {k_ctrl_shift, Qt::Key_V, TerminalCommand::paste},
    {k_ctrl_shift, Qt::Key_F, TerminalCommand::find},
    {k_ctrl_shift, Qt::Key_G, TerminalCommand::find_next},
    {k_ctrl_shift, Qt::Key_H, TerminalCommand::find_previous},
    {k_ctrl_shift, Qt::Key_A, TerminalCommand::select_all},
    {k_ctrl_shift, Qt::Key_Escape, TerminalCommand::leave},
    {k_ctrl_shift, Qt::Key_Up, TerminalCommand::scroll_line_up},
    {k_ctrl_shift, Qt::Key_Down, TerminalCommand::scroll_line_down},
    {k_shift, Qt::Key_Insert, TerminalCommand::paste_selection},
    {k_shift, Qt::Key_PageUp, TerminalCommand::scroll_page_up},
    {k_shift, Qt::Key_PageDown, TerminalCommand::scroll_page_down},
    {k_shift, Qt::Key_Home, TerminalCommand::scroll_top},
    {k_shift, Qt::Key_End, TerminalCommand::scroll_bottom},
    {k_ctrl, Qt::Key_Plus, TerminalCommand::zoom_in},
    {k_ctrl, Qt::Key_Equal, TerminalCommand::zoom_in},
    {k_ctrl_shift, Qt::Key_Plus, TerminalCommand::zoom_in},
    {k_ctrl, Qt::Key_Minus, TerminalCommand::zoom_out},
    {k_ctrl, Qt::Key_0, TerminalCommand::zoom_reset},
};

struct NamedKey {
    int key;
    TerminalKey terminal_key;
};

constexpr NamedKey k_named_keys[] = {
    {Qt::Key_Return, TerminalKey::enter},
    {Qt::Key_Enter, TerminalKey::enter},
    {Qt::Key_Tab, TerminalKey::tab},
    {Qt::Key_Backtab, TerminalKey::back_tab},
    {Qt::Key_Backspace, TerminalKey::backspace},
    {Qt::Key_Escape, TerminalKey::escape},
    {Qt::Key_Up, TerminalKey::up},
    {Qt::Key_Down, TerminalKey::down},
    {Qt::Key_Left, TerminalKey::left},
    {Qt::Key_Right, TerminalKey::right},
    {Qt::Key_Insert, TerminalKey::insert},
    {Qt::Key_Delete, TerminalKey::del},
    {Qt::Key_Home, TerminalKey::home},
    {Qt::Key_End, TerminalKey::end},
    {Qt::Key_PageUp, TerminalKey::page_up},
    {Qt::Key_PageDown, TerminalKey::page_down},
};

// With Ctrl down event.text() is a control character or nothing: take the letter from the key itself.
char32_t character_of(const QKeyEvent& event) {
    const int key = event.key();
    if ((event.modifiers() & k_ctrl) != 0 && key >= 0x20 && key < 0x7f) {
        return key >= Qt::Key_A && key <= Qt::Key_Z ? static_cast<char32_t>(key - Qt::Key_A + 'a')
                                                    : static_cast<char32_t>(key);
    }
    return 0;
}

}  // namespace

TerminalCommand command_for(const QKeyEvent& event) {
    const Qt::KeyboardModifiers modifiers = event.modifiers() & ~Qt::KeypadModifier;
    for (const CommandKey& entry : k_commands) {
        if (entry.key == event.key() && entry.modifiers == modifiers) {
            return entry.command;
        }
    }
    return TerminalCommand::none;
}

bool send_key_event(TerminalScreen& screen, const QKeyEvent& event) {
    const Qt::KeyboardModifiers held = event.modifiers();
    const KeyModifiers modifiers{(held & k_shift) != 0, (held & Qt::AltModifier) != 0, (held & k_ctrl) != 0};
    for (const NamedKey& entry : k_named_keys) {
        if (entry.key == event.key()) {
            screen.send_key(entry.terminal_key, modifiers);
            return true;
        }
    }
    if (event.key() >= Qt::Key_F1 && event.key() <= Qt::Key_F24) {
        screen.send_key(TerminalKey::function, modifiers, event.key() - Qt::Key_F1 + 1);
        return true;
    }
    if (const char32_t character = character_of(event); character != 0) {
        screen.send_character(character, modifiers);
        return true;
    }
    bool sent = false;
    for (const char32_t character : event.text().toUcs4()) {
        screen.send_character(character, {false, modifiers.alt, false});
        sent = true;
    }
    return sent;
}

}  // namespace skep::ui
