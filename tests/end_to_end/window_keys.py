#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of a keyboard of 105 keys, pressed on the host, reaches a Linux guest as the key at the same place, whatever the
host's layout is; and nothing stays down when the window loses the keyboard. With the virtio keyboard and with the PS/2 one."""
import subprocess

from desktop import Desktop
from keys_guest import KeysGuest, events_of, press
from skep_guest import main
from x_keyboard import KEYBOARD, XKeyboard

A, ALT, CONTROL, RIGHT_CONTROL, SHIFT, TAB = 30, 56, 29, 97, 42, 15
PRINT, PAUSE = 99, 119
# Print and Pause have other scan codes with Alt and Control.
CHORDS = ([ALT, PRINT], [CONTROL, PAUSE], [CONTROL, PRINT], [RIGHT_CONTROL, PAUSE], [SHIFT, TAB], [SHIFT, CONTROL, A])
AT_ONCE = 7    # keys: a guest's program that is slower loses some (the kernel keeps 64 events)


def every_key(keyboard_name, options):
    with Desktop() as desktop:
        guest = KeysGuest(desktop, keyboard_name, options)
        keyboard = XKeyboard(desktop.env)
        for layout in ("us", "fr"):
            keyboard.set_layout(layout)
            for start in range(0, len(KEYBOARD), AT_ONCE):
                for code in KEYBOARD[start:start + AT_ONCE]:
                    press(keyboard, [code])
                guest.hears([event for code in KEYBOARD[start:start + AT_ONCE] for event in events_of([code])])
            desktop.stage(f"{len(KEYBOARD)} keys of the layout {layout}")
            for chord in CHORDS:
                press(keyboard, chord)
                guest.hears(events_of(chord))
            desktop.stage("chords")
        held = [A, SHIFT, RIGHT_CONTROL]
        for code in held:
            keyboard.key(code, True)
        guest.hears([(code, 1) for code in held])
        other = subprocess.Popen(["xev"], env=desktop.env, stdout=subprocess.DEVNULL)
        desktop.wait("another window with the keyboard", lambda: not desktop.find("screen")["focus"], 30)
        guest.hears([(code, 0) for code in reversed(held)])
        desktop.stage("nothing is down when another window has the keyboard")
        for code in held:
            keyboard.key(code, False)
        other.terminate()
        guest.console.send("\n")
        guest.console.expect(r"keys: down\.", 30)
        keyboard.close()


def virtio_keyboard():
    every_key("Skep virtio keyboard", "")


def ps2_keyboard():
    every_key("AT Translated Set 2 keyboard", "module_blacklist=virtio_input")


main(virtio_keyboard, ps2_keyboard)
