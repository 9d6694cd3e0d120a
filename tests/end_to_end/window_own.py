#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's screen in a window of its own: there and back, keyboard, full screen, and the same place the next time."""
from desktop import Desktop
from keys_guest import KeysGuest, events_of, press
from skep_guest import check, main
from x_keyboard import XKeyboard

A, B, C, ENTER, ALT, CONTROL = 30, 48, 46, 28, 56, 29


def screen_is_in(desktop, window):
    desktop.wait(f"the screen in {window}", lambda: (desktop.find("screen") or {"window": ""})["window"] == window, 20)


def has_keyboard(desktop):
    desktop.wait("keyboard in the screen", lambda: desktop.find("screen")["focus"], 20)


def full_screen_key(guest, keyboard):
    """The guest hears of the two it had before the third."""
    press(keyboard, [CONTROL, ALT, ENTER])
    guest.hears([(CONTROL, 1), (ALT, 1), (ALT, 0), (CONTROL, 0)])


def take_back(guest, keyboard):
    """Keyboard and pointer, which a click has given the guest: it has a mouse without a place."""
    press(keyboard, [CONTROL, ALT])
    guest.hears(events_of([CONTROL, ALT]))


def close_window(desktop, name):
    """By the cross that the window manager draws above its right corner."""
    place = desktop.find(name)
    desktop.click_at({"x": place["x"] + place["width"] - 10, "y": place["y"] - 11, "width": 1, "height": 1})


def screen_moves_out_and_back():
    with Desktop() as desktop:
        guest = KeysGuest(desktop, "AT Translated Set 2 keyboard", "module_blacklist=virtio_input")
        keyboard = XKeyboard(desktop.env)
        desktop.screenshot("own-1-tab")
        take_back(guest, keyboard)
        desktop.click("actionOwnWindow")
        screen_is_in(desktop, "guestWindow")
        desktop.wait_for("showOwnWindow")
        has_keyboard(desktop)
        press(keyboard, [A])
        guest.hears(events_of([A]))
        desktop.stage("a window of its own, which has the keyboard")
        desktop.screenshot("own-2-window")
        desktop.click("screen")
        desktop.wait("the pointer to be the guest's", lambda: "Keyboard and pointer are" in desktop.text("screenHint"), 20)
        take_back(guest, keyboard)
        desktop.wait("keyboard in the bar", lambda: desktop.find("actionFullScreen")["focus"], 20)
        check(desktop.find("actionFullScreen")["window"] == "guestWindow", "that is another window's bar")
        desktop.click("screen")
        has_keyboard(desktop)
        desktop.stage("keyboard and pointer taken, given back and taken")
        full_screen_key(guest, keyboard)
        screen_is_in(desktop, "fullScreenWindow")
        has_keyboard(desktop)
        press(keyboard, [B])
        guest.hears(events_of([B]))
        desktop.screenshot("own-3-full-screen")
        full_screen_key(guest, keyboard)
        screen_is_in(desktop, "guestWindow")
        has_keyboard(desktop)
        desktop.stage("full screen and back")
        close_window(desktop, "guestWindow")
        screen_is_in(desktop, "libraryWindow")
        has_keyboard(desktop)
        press(keyboard, [C])
        guest.hears(events_of([C]))
        desktop.stage("closed, it is in its tab again")
        desktop.screenshot("own-4-tab-again")

        desktop.click("actionOwnWindow")
        screen_is_in(desktop, "guestWindow")
        close_window(desktop, "libraryWindow")
        desktop.click("quitKeep")
        desktop.skep.wait(20)
        desktop.skep = None
        desktop.stage("the main window closed: the other one is gone too")
        desktop.run_skep()
        screen_is_in(desktop, "guestWindow")
        desktop.screenshot("own-5-remembered")
        desktop.click("actionOwnWindow")
        screen_is_in(desktop, "libraryWindow")
        keyboard.close()


main(screen_moves_out_and_back)
