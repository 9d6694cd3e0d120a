#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""USB: Linux finds the devices, sticks come and go while it runs, and the BIOS starts from one with a USB keyboard."""
import json
import re
import shutil
import struct
import time

from skep_guest import OUTPUT, Sandbox, check, main, need, run_guest

EV_KEY, EV_ABS = 1, 3
KEY_A = 30
MOST = 0x7fff


def linux_guest(sandbox, *options):
    kernel, initrd = need("usb.vmlinuz", "usb.initrd")
    guest = run_guest("--socket", sandbox.path / "s", "--memory", "512M", "--display", "vga", "--sound", "none", "--kernel", kernel,
                      "--initrd", initrd, "--append", "console=ttyS0 quiet", *options, env=sandbox.env)
    guest.expect(r"skep# ", 120)
    return guest


def machine(sandbox):
    return sandbox.path / "s"


def events(guest, name, act):
    """What the input device of that name tells while act() works: (type, code, value)."""
    guest.run(f"for i in $(seq 100); do grep -q 'Name=.*{name}' /proc/bus/input/devices && break; sleep 0.1; done")
    node = re.search(r"event\d+", guest.run(f"grep -A5 'Name=.*{name}' /proc/bus/input/devices | grep Handlers")).group(0)
    guest.run(f"(cat /dev/input/{node} > /tmp/e & echo $! > /tmp/p)")
    time.sleep(1)
    act()
    time.sleep(1)
    text = guest.run("kill $(cat /tmp/p); hexdump -v -e '24/1 \"%02x\" \"\\n\"' /tmp/e")
    return [struct.unpack("<16xHHi", bytes.fromhex(line)) for line in re.findall(r"\b[0-9a-f]{48}\b", text)]


def linux_hears_tablet_and_keyboard():
    sandbox = Sandbox()
    guest = linux_guest(sandbox, "--set", "usb.keyboard=true")
    keys = events(guest, "USB keyboard", lambda: sandbox.ctl("sendkeys", machine(sandbox), "a"))
    check((EV_KEY, KEY_A, 1) in keys and (EV_KEY, KEY_A, 0) in keys, f"the keyboard tells {keys}")
    shot = sandbox.path / "shot.png"
    sandbox.ctl("screenshot", machine(sandbox), shot)
    width, height = struct.unpack(">II", shot.read_bytes()[16:24])
    moves = events(guest, "USB tablet", lambda: sandbox.ctl("click", machine(sandbox), width // 2, height // 2))
    for code, extent in ((0, width), (1, height)):
        places = [value for kind, axis, value in moves if kind == EV_ABS and axis == code]
        check(places and abs(places[-1] - MOST * (extent // 2) / (extent - 1)) <= 1, f"axis {code} tells {places}")
    check(any(kind == EV_KEY and value == 1 for kind, _, value in moves), f"no button in {moves}")
    guest.send("poweroff\n")
    check(guest.wait(60) == 1, "power-off has the exit code 1")


def stick_comes_and_goes():
    sandbox = Sandbox()
    image = sandbox.path / "stick.img"
    image.write_bytes(b"")
    with open(image, "r+b") as file:
        file.truncate(64 << 20)
    guest = linux_guest(sandbox)
    for round_number in range(2):
        reply = json.loads(sandbox.ctl("--json", "usb", "attach", machine(sandbox), image).stdout)
        check(reply["stick"] == "usb0", reply)
        guest.run("for i in $(seq 100); do grep -q sda /proc/partitions && break; sleep 0.1; done; grep sda /proc/partitions")
        if round_number == 0:
            guest.run("/sbin/mke2fs -q -t ext4 /dev/sda", 120)
        guest.run("mount -t ext4 /dev/sda /mnt")
        if round_number == 0:
            guest.run("dd if=/dev/urandom of=/mnt/data bs=1M count=16; md5sum /mnt/data > /mnt/sum", 120)
        guest.run("md5sum -c /mnt/sum", 60)
        guest.run("umount /mnt")
        check("stick.img" in sandbox.ctl("usb", "list", machine(sandbox)).stdout, "it is not listed")
        sandbox.ctl("usb", "detach", machine(sandbox))
        guest.run("for i in $(seq 100); do grep -q sda /proc/partitions || break; sleep 0.1; done; ! grep sda /proc/partitions")
    # Pulled out under a reader, and read only the next time.
    sandbox.ctl("usb", "attach", machine(sandbox), image, "--read-only", "--id", "old")
    guest.run("for i in $(seq 100); do grep -q sda /proc/partitions && break; sleep 0.1; done; ! dd if=/dev/zero of=/dev/sda count=1")
    guest.run("(dd if=/dev/sda of=/dev/null bs=4k iflag=direct >/dev/null 2>&1 &)")
    sandbox.ctl("usb", "detach", machine(sandbox), "old")
    guest.run("for i in $(seq 100); do grep -q sda /proc/partitions || break; sleep 0.1; done; ! grep sda /proc/partitions", 60)
    check(sandbox.ctl("usb", "detach", machine(sandbox), check=False).returncode == 1, "nothing is left to pull out")
    guest.send("poweroff\n")
    check(guest.wait(60) == 1, "power-off has the exit code 1")


def bios_starts_from_a_stick():
    sandbox = Sandbox()
    (medium,) = need("grub.iso")
    shutil.copy(medium, sandbox.path / "stick.img")
    guest = run_guest("--socket", sandbox.path / "s", "--disk", sandbox.path / "stick.img", "--disk-bus", "usb", "--display", "vga",
                      "--sound", "none", "--set", "usb.keyboard=true", env=sandbox.env)
    deadline = time.monotonic() + 30
    while not (sandbox.path / "s").exists():
        check(time.monotonic() < deadline, "the machine does not answer")
        time.sleep(0.2)
    sandbox.ctl("wait-screen", machine(sandbox), "--text", "GNU GRUB", "--timeout", "60")
    sandbox.ctl("sendkeys", machine(sandbox), "down", "down")
    sandbox.ctl("wait-screen", machine(sandbox), "--text", r"\*FreeBSD .*direct", "--timeout", "10")
    sandbox.ctl("screenshot", machine(sandbox), OUTPUT / "usb-grub.png")
    guest.kill()


main(linux_hears_tablet_and_keyboard, stick_comes_and_goes, bios_starts_from_a_stick)
