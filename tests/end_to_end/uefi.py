#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI firmware starts a CD that no BIOS starts, keeps its variables in the machine's folder, and with Secure Boot refuses
what nobody signed."""
from live_machine import LiveMachine
from skep_guest import Sandbox, check, main, need


def cd_boots_and_variables_are_kept():
    (iso,) = need("uefi.iso")
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "uefi", iso=iso)
    try:
        check(machine.json("info")["firmware"] == "uefi", "create must choose the firmware that starts the CD")
        console = machine.start()
        check("efi" in console.run("ls /sys/firmware"), "the kernel does not know that UEFI started it")
        variables = machine.folder() / "uefi-variables.fd"
        first = variables.read_bytes()
        check("Skep DVD-ROM".encode("utf-16-le") in first, "no boot entry among the variables")
        machine.power_off(console)
        console = machine.start()
        machine.power_off(console)
        check(len(variables.read_bytes()) == len(first), "the variables changed their size")
    finally:
        machine.clean_up()


def secure_boot_refuses_what_is_not_signed():
    (iso,) = need("uefi.iso")
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "secure", "--set", "secure_boot=true", iso=iso)
    try:
        machine.pid = machine.json("start")["pid"]
        machine.ctl("wait-screen", "--serial", "Access Denied", "--timeout", "120")
        check((machine.folder() / "uefi-variables-secure.fd").exists(), "no variables of its own")
        machine.ctl("poweroff")
    finally:
        machine.clean_up()


main(cd_boots_and_variables_are_kept, secure_boot_refuses_what_is_not_signed)
