#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI firmware starts a CD that no BIOS starts, keeps its variables in the machine's folder, and with Secure Boot refuses
what nobody signed; by both firmwares an installed disk starts after the installer, whose CD is ejected."""
from live_machine import SHELL, LiveMachine
from skep_guest import Sandbox, check, main, need

ROOM = "memory=768M"  # GRUB finds too little below what OVMF itself takes of 256M


def cd_boots_and_variables_are_kept():
    (iso,) = need("uefi.iso")
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "uefi", "--set", ROOM, iso=iso)
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


def copied_to_the_disk_it_starts_from_there():
    (iso,) = need("uefi.iso")
    install(iso, "uefi", "nvme", "/dev/nvme0n1")


def copied_to_the_disk_it_starts_from_there_by_bios():
    (iso,) = need("generic.iso")
    install(iso, "bios", "virtio", "/dev/vda")


def install(iso, firmware, bus, disk):
    """The shortest installation there is: the CD starts from a disk, too. Then the guest reboots."""
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "installed", "--disk", "128M", "--disk-bus", bus, "--set", ROOM, iso=iso)
    try:
        check(machine.json("info")["firmware"] == firmware, f"create must choose {firmware} for this CD")
        console = machine.start()
        check("there" in console.run(f"test -b /dev/sr0 && test -b {disk} && echo there"), "no CD drive or no disk in the guest")
        console.run(f"dd if=/dev/sr0 of={disk} bs=1M && sync", 200)
        console.send("reboot\n")
        console.expect("skep: Linux", 300)
        console.expect(SHELL, 60)
        check("empty" in console.run("dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null || echo empty"), "the CD is in its drive yet")
        check(str(iso) not in (machine.folder() / "vm.yaml").read_text(), "the settings still name the CD")
        check("A system was installed" in machine.ctl("log").stdout, "the log does not tell of it")
        machine.power_off(console)
        console = machine.start()
        machine.power_off(console)
    finally:
        machine.clean_up()


main(copied_to_the_disk_it_starts_from_there, copied_to_the_disk_it_starts_from_there_by_bios, cd_boots_and_variables_are_kept,
     secure_boot_refuses_what_is_not_signed)
