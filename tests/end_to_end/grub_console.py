#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's rescue CD reaches its prompt on the serial console: SeaBIOS mirrors the text screen there, and keys work."""
import time

from skep_guest import check, main, need, run_guest


def rescue_cd_reaches_its_prompt():
    (iso,) = need("grub.iso")
    guest = run_guest("--iso", iso, "--memory", "128M", name="GRUB")
    guest.expect(r"GNU GRUB +version 2", 60)
    guest.expect(r"will be executed automatically|Minimal BASH-like|Press enter to boot", 30)
    guest.send("c")
    guest.expect(r"grub> ", 30)
    for key in "echo six times seven\r":  # by finger: the BIOS keeps 15 keys between two of its clock ticks
        guest.send(key)
        time.sleep(0.06)
    guest.expect(r"\r\n?six times seven\r\n?grub> ", 30)
    guest.send("ls\r")
    check("(cd)" in guest.expect(r"\r\n?(\([^\r]*)\r\n?grub> ", 30).group(1), "GRUB does not list its CD")
    guest.kill()


main(rescue_cd_reaches_its_prompt)
