# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's keyboard: presses and releases by X keycodes (XTEST), which say where a key is, whatever is printed on it."""
import ctypes
import ctypes.util
import subprocess

from skep_guest import Failure, skip

EVDEV_OFFSET = 8   # of X keycodes

# The evdev codes of a keyboard of 105 keys, in rows (linux/input-event-codes.h).
ESCAPE_ROW = [1, *range(59, 69), 87, 88, 99, 70, 119]   # to F12; Print, Scroll Lock, Pause
DIGIT_ROW = [41, *range(2, 15)]                         # grave to Backspace
TAB_ROW = [*range(15, 28), 28]                          # Tab to ], Enter
CAPS_ROW = [58, *range(30, 41), 43]                     # Caps Lock to ', and the key at Enter
SHIFT_ROW = [42, 86, *range(44, 54), 54]                # the 102nd key beside the left Shift
SPACE_ROW = [29, 125, 56, 57, 100, 126, 127, 97]        # Control to Control, with Super and Menu
MIDDLE = [110, 102, 104, 111, 107, 109, 103, 105, 108, 106]
KEYPAD = [69, 98, 55, 74, 71, 72, 73, 78, 75, 76, 77, 79, 80, 81, 96, 82, 83]
KEYBOARD = [*ESCAPE_ROW, *DIGIT_ROW, *TAB_ROW, *CAPS_ROW, *SHIFT_ROW, *SPACE_ROW, *MIDDLE, *KEYPAD]


class XKeyboard:
    def __init__(self, env):
        self.env = env
        try:
            self.x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
            self.xtest = ctypes.CDLL(ctypes.util.find_library("Xtst") or "libXtst.so.6")
        except OSError as error:
            skip(f"{error}: run scripts/setup test")
        self.x11.XOpenDisplay.restype = ctypes.c_void_p
        self.display = ctypes.c_void_p(self.x11.XOpenDisplay(env["DISPLAY"].encode()))
        if not self.display:
            raise Failure(f"there is no display {env['DISPLAY']}")

    def set_layout(self, layout):
        subprocess.run(["setxkbmap", layout], env=self.env, check=True, timeout=60)

    def key(self, evdev, down):
        self.xtest.XTestFakeKeyEvent(self.display, evdev + EVDEV_OFFSET, int(down), 0)
        self.x11.XSync(self.display, 0)

    def close(self):
        self.x11.XCloseDisplay(self.display)
