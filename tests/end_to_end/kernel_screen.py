#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of kernels that no BIOS has started: what they write where text lies on every PC can be read."""
import struct

import tiny_kernel
from live_machine import LiveMachine
from skep_guest import Sandbox, check, main

TEXT = 0xB8000


def writes(text, line):
    """mov dword [address], two characters, light grey on black"""
    words = [text[at : at + 2].ljust(2) for at in range(0, len(text), 2)]
    return b"".join(b"\xc7\x05" + struct.pack("<I4s", TEXT + 160 * line + 4 * at, bytes([ord(two[0]), 7, ord(two[1]), 7]))
                    for at, two in enumerate(words))


def text_of_a_multiboot_kernel():
    for display in ("vga", "virtio"):
        sandbox = Sandbox()
        kernel = tiny_kernel.write_kernel(sandbox.path / "kernel", writes("No BIOS was here.", 12) + tiny_kernel.SLEEP)
        machine = LiveMachine.known(sandbox, "bare")
        sandbox.ctl("create", "bare", "--kernel", kernel, "--firmware", "multiboot", "--memory", "32M", "--cpu", "interp", "--display", display)
        try:
            machine.pid = machine.json("start")["pid"]
            for _ in range(2):
                machine.ctl("wait-screen", "--text", r"No BIOS was here\.", "--timeout", "60")
                lines = machine.ctl("screendump", "--text").stdout.splitlines()
                check([line for line in lines if line] == ["No BIOS was here."], f"on the screen: {lines}")
                machine.ctl("reset")
        finally:
            machine.clean_up()


main(text_of_a_multiboot_kernel)
