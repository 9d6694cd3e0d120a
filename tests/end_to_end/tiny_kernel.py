# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiboot kernels of a few bytes, for ends that need no system: the start state is 32-bit protected mode."""
import struct

LOAD_ADDRESS = 0x100000
MAGIC, LOAD_ADDRESSES_GIVEN = 0x1BADB002, 0x10000  # Multiboot 0.6.96, 3.1.1

HALT = bytes.fromhex("fa f4 ebfd")                          # cli; hlt; jmp back to hlt
SLEEP = bytes.fromhex("fa 31c0 ebfe")                       # cli; xor eax, eax; jmp self: busy for ever
TRIPLE_FAULT = bytes.fromhex("6a00 6a00 0f011c24 0f0b")     # push 0; push 0; lidt [esp]; ud2
PORT_92_RESET = bytes.fromhex("b001 e692 ebfe")             # mov al, 1; out 0x92, al

PANIC = bytes.fromhex("66ba0505 b001 ee")                   # mov dx, 0x505; mov al, 1; out dx, al: and on


def debug_exit(value):
    """out 0xf4, al"""
    return bytes([0xB0, value, 0xE6, 0xF4, 0xEB, 0xFE])


def echo_one_key_and_exit():
    """Waits for a byte on COM1, sends it back, then writes 21 to the debug exit port."""
    return bytes.fromhex("66bafd03 ec a801 74fb"            # mov dx, 0x3fd; 1: in al, dx; test al, 1; jz 1
                         "66baf803 ec ee") + debug_exit(21)  # mov dx, 0x3f8; in al, dx; out dx, al


def say_and_exit(text):
    """Writes text to COM1, then 21 to the debug exit port."""
    letters = b"".join(bytes([0xB0, letter, 0xEE]) for letter in text.encode())
    return bytes.fromhex("66baf803") + letters + debug_exit(21)


def write_kernel(path, code):
    """With a stack, flat addresses and the entry right behind the header."""
    entry = LOAD_ADDRESS + 32
    start = bytes([0xBC]) + struct.pack("<I", LOAD_ADDRESS + 0x8000) + code  # mov esp, ...
    end = entry + len(start)
    header = struct.pack("<8I", MAGIC, LOAD_ADDRESSES_GIVEN, (-MAGIC - LOAD_ADDRESSES_GIVEN) & 0xFFFFFFFF,
                         LOAD_ADDRESS, LOAD_ADDRESS, end, end, entry)
    path.write_bytes(header + start)
    return path
