# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that tells which keys it gets, and the window that shows its screen."""
import re
import time

from skep_guest import SKEPCTL, TEST_CPU, Console, check, need

REPEATED = 2   # a key event's value
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
