// SPDX-License-Identifier: GPL-3.0-or-later
// Which key press is the window's and which goes to the guest.
#pragma once

class QKeyEvent;

namespace skep::ui {

class TerminalScreen;

enum class TerminalCommand {
    none,
    copy,
    paste,
    paste_selection,
    find,
    find_next,
    find_previous,
    select_all,
    zoom_in,
    zoom_out,
    zoom_reset,
    scroll_line_up,
    scroll_line_down,
    scroll_page_up,
    scroll_page_down,
    scroll_top,
    scroll_bottom,
    leave,  // move the keyboard focus out of the terminal: every other key belongs to the guest
};

[[nodiscard]] TerminalCommand command_for(const QKeyEvent& event);
// Sends the key to the guest; false when it has no meaning on a terminal (a bare modifier, a media key).
bool send_key_event(TerminalScreen& screen, const QKeyEvent& event);

}  // namespace skep::ui
