#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An unattended installation from its first start to its last trace, with both firmwares. The installer is the small Linux on a CD
that lies as Debian's does: it reads its answers, copies the CD (which starts from a disk as well) and restarts."""
import gzip
import subprocess

from live_machine import SHELL, LiveMachine
from skep_guest import Sandbox, check, main, need, skip

INSTALLER = """#!/bin/sh
answer() { sed -n "s|^d-i $1 string ||p" /preseed.cfg; }
disk=$(answer partman-auto/disk)
echo "FIRMWARE $([ -d /sys/firmware/efi ] && echo uefi || echo bios)"
echo "ANSWERS $(answer passwd/username) $(answer netcfg/get_hostname) $(stat -c %s /preseed.cfg) $(grep -c 'auto=true priority=critical' /proc/cmdline)"
for i in $(seq 100); do [ -b /dev/sr0 ] && [ -b "$disk" ] && break; sleep 0.1; done
dd if=/dev/sr0 of=$disk bs=1M && sync && echo "INSTALLED to $disk" && reboot
"""
INITTAB = "ttyS0::once:/installer\n::ctrlaltdel:/bin/reboot\n::shutdown:/bin/umount -a -r\n"
PASSWORD = "correct horse battery"


def archive_of(folder):
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=folder, input=names.encode(), capture_output=True, check=True).stdout


def make_installer(sandbox, base):
    """`base` with a kernel and a RAM disk where Debian's installer has them. Both firmwares start it as before."""
    kernel, initrd = need("generic.vmlinuz", "generic.initrd")
    root, disc = sandbox.path / "root", sandbox.path / "disc"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "inittab").write_text(INITTAB)
    (root / "installer").write_text(INSTALLER)
    (root / "installer").chmod(0o755)
    disc.mkdir()
    (disc / "vmlinuz").write_bytes(kernel.read_bytes())
    (disc / "initrd.gz").write_bytes(initrd.read_bytes() + gzip.compress(archive_of(root), 1))
    iso = sandbox.path / "installer.iso"
    done = subprocess.run(["xorriso", "-indev", base, "-outdev", iso, "-volid", "Debian 12 n", "-map", disc, "/install",
                           "-boot_image", "any", "replay"], capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"xorriso cannot make the CD: {done.stderr[-300:]}")
    return iso


def nothing_is_left(machine, iso):
    folder = machine.folder()
    check(not (folder / "install").exists(), f"the installer's files are there yet: {list((folder / 'install').glob('*'))}")
    settings = (folder / "vm.yaml").read_text()
    check("install" not in settings.replace(machine.name, "") and str(iso) not in settings, f"the settings still name the installer:\n{settings}")
    for file in folder.rglob("*"):
        if file.is_file() and file.parent.name != "disks":
            content = file.read_bytes()
            check(b"$6$" not in content and PASSWORD.encode() not in content, f"the password is in {file.name}")


def install(firmware, base_name, bus, disk):
    (base,) = need(base_name)
    sandbox = Sandbox()
    iso = make_installer(sandbox, base)
    secret = sandbox.path / "secret"
    secret.write_text(PASSWORD + "\n")
    machine = LiveMachine(sandbox, "fresh", "--disk", "128M", "--disk-bus", bus, "--set", "memory=768M", "--display", "none", "--user", "ada",
                          "--password-file", secret, "--host-name", "engine", iso=iso)
    try:
        check(machine.json("info")["firmware"] == firmware, f"create must choose {firmware} for this CD")
        machine.pid = machine.json("start")["pid"]
        console = machine.console()
        console.expect(f"FIRMWARE {firmware}", 300)
        console.expect(r"ANSWERS ada engine [1-9]\d+ 1\r", 30)
        console.expect(f"INSTALLED to {disk}", 200)
        console.expect("skep: Linux", 300)
        console.expect(SHELL, 60)
        check("of its own" in console.run("test ! -e /preseed.cfg && ! grep auto= /proc/cmdline && echo of its own"), "not the installed system")
        nothing_is_left(machine, iso)
        check("A system was installed without questions" in machine.ctl("log").stdout, "the log does not tell of it")
        machine.power_off(console)
        machine.power_off(machine.start())
    finally:
        machine.clean_up()


def without_a_question_by_bios():
    install("bios", "generic.iso", "virtio", "/dev/vda")


def without_a_question_by_uefi():
    install("uefi", "uefi.iso", "nvme", "/dev/nvme0n1")


main(without_a_question_by_bios, without_a_question_by_uefi)
