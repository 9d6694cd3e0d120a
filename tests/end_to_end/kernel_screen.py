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


def writes_count_of_starts(line, column):
    """A digit, kept in a byte of the CMOS RAM (MC146818 data sheet), which a reset leaves alone."""
    cell = TEXT + 160 * line + 2 * column
    count = b"\xb0\x60\xe6\x70\xe4\x71\xfe\xc0\xe6\x71"  # mov al, 0x60; out 0x70, al; in al, 0x71; inc al; out 0x71, al
    return count + b"\x04\x30\xa2" + struct.pack("<I", cell) + b"\xc6\x05" + struct.pack("<IB", cell + 1, 7)  # add al, '0'; mov ...


def text_of_a_multiboot_kernel():
    for display in ("vga", "virtio"):
        sandbox = Sandbox()
        kernel = tiny_kernel.write_kernel(sandbox.path / "kernel", writes("No BIOS was here.", 12) + writes_count_of_starts(12, 18) + tiny_kernel.SLEEP)
        machine = LiveMachine.known(sandbox, "bare")
        sandbox.ctl("create", "bare", "--kernel", kernel, "--firmware", "multiboot", "--memory", "32M", "--cpu", "interp", "--display", display)
        try:
            machine.pid = machine.json("start")["pid"]
            for start in (1, 2):
                machine.ctl("wait-screen", "--text", rf"No BIOS was here\. {start}", "--timeout", "60")
                lines = machine.ctl("screendump", "--text").stdout.splitlines()
                check([line for line in lines if line] == [f"No BIOS was here. {start}"], f"on the screen: {lines}")
                machine.ctl("reset")
        finally:
            machine.clean_up()


main(text_of_a_multiboot_kernel)
