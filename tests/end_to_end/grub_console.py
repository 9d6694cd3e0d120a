#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's rescue CD reaches its prompt on the serial console: SeaBIOS mirrors the text screen there, and keys work."""
import re
import time

from skep_guest import main, need, run_guest


def shown(text):
    """A pattern for text on a screen that is mirrored: on a busy host the cursor is set anew in the middle of words."""
    return r"(?:\x1b\[[\d;]*[A-Za-z]|[\r\n])*".join(re.escape(letter) for letter in text)


def rescue_cd_reaches_its_prompt():
    (iso,) = need("grub.iso")
    guest = run_guest("--iso", iso, "--memory", "128M", name="GRUB")
    guest.expect(shown("GNU GRUB  version 2"), 60)
    guest.expect("|".join(map(shown, ("will be executed automatically", "Minimal BASH-like", "Press enter to boot"))), 30)
    guest.send("c")
    guest.expect(shown("grub> "), 30)
    for key in "echo six times seven\r":  # by finger: the BIOS keeps 15 keys between two of its clock ticks
        guest.send(key)
        time.sleep(0.06)
    for text in ("echo six times seven", "six times seven", "grub> "):  # as it was typed, and its answer
        guest.expect(shown(text), 30)
    guest.send("ls\r")
    guest.expect(shown("(cd)"), 30)
    guest.expect(shown("grub> "), 30)
    guest.kill()


main(rescue_cd_reaches_its_prompt)
