#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of a keyboard of 105 keys, pressed on the host, reaches a Linux guest as the key at the same place, whatever the
host's layout is; and nothing stays down when the window loses the keyboard. With the virtio keyboard and with the PS/2 one."""
import re
import subprocess
import time

from desktop import Desktop
from skep_guest import SKEPCTL, TEST_CPU, Console, check, main, need
from x_keyboard import KEYBOARD, XKeyboard

A, ALT, CONTROL, RIGHT_CONTROL, SHIFT, TAB = 30, 56, 29, 97, 42, 15
PRINT, PAUSE = 99, 119
# Print and Pause have other scan codes with Alt and Control.
CHORDS = ([ALT, PRINT], [CONTROL, PAUSE], [CONTROL, PRINT], [RIGHT_CONTROL, PAUSE], [SHIFT, TAB], [SHIFT, CONTROL, A])
REPEATED = 2   # a key event's value
AT_ONCE = 7    # keys: a guest's program that is slower loses some (the kernel keeps 64 events)
FIRST_BUTTON = 256
KEY_LINE = re.compile(r"^key (\d+) (\d)\r?$", re.M)


class KeysGuest:
    """A guest that tells its keys on the serial console, and the window that shows its screen."""

    def __init__(self, desktop, keyboard_name, options):
        kernel, initrd = need("screen.vmlinuz", "screen.initrd")
        self.desktop = desktop
        desktop.sandbox.ctl("create", "Keys", "--cpu", TEST_CPU, "--memory", "256M", "--kernel", kernel, "--initrd", initrd,
                            "--display", "vga", "--append", f"console=ttyS0 quiet {options}")
        desktop.sandbox.ctl("start", "Keys")
        self.console = Console([SKEPCTL, "console", "Keys"], env=desktop.env, name=keyboard_name)
        self.console.expect(r"skep# ", 400)
        self.console.send("keys\n")
        self.console.expect(f"is {keyboard_name}", 60)
        self.console.expect("keys: listening", 60)
        desktop.run_skep()
        desktop.click_item("vmList", "Keys")
        desktop.wait("a picture", lambda: "×" in desktop.text("screen"), 60)
        desktop.click("screen")
        desktop.wait("keyboard in the screen", lambda: desktop.find("screen")["focus"], 20)
        desktop.stage("keyboard in the guest's screen")
        self.told = 0   # what the guest has told when the last keys were pressed

    def events(self):
        heard = [(int(code), int(value)) for code, value in KEY_LINE.findall(self.console.seen)]
        return [(code, value) for code, value in heard if value != REPEATED and code < FIRST_BUTTON][self.told:]

    def hears(self, expected, timeout=30):
        """What the guest says since it was asked last."""
        deadline = time.monotonic() + timeout
        while len(self.events()) < len(expected) and time.monotonic() < deadline:
            self.console.read(0.2)
        events = self.events()
        self.told += len(events)
        check(events == expected, f"the guest was to hear {expected}, but heard {events}")


def press(keyboard, codes):
    for code in codes:
        keyboard.key(code, True)
    for code in reversed(codes):
        keyboard.key(code, False)


def events_of(codes):
    return [(code, 1) for code in codes] + [(code, 0) for code in reversed(codes)]


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
