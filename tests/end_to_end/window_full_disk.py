#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full host disk in the window: the guest waits, the window says why, and Retry lets the guest go on.

In a mount namespace of its own, where the library lies on a small file system."""
import os
import re
import subprocess
import sys
import time

from desktop import Desktop
from live_machine import check_clean
from skep_guest import Sandbox, check, main, need, skip

FILLER = 24 << 20
WRITE = "head -c 25000000 /dev/urandom > /mnt/big; sync; sha256sum < /mnt/big; echo written $((6 * 7))"


def full_host_disk_is_said_and_retry_goes_on():
    if os.environ.get("SKEP_OWN_MOUNTS"):
        in_own_mounts()
        return
    scratch = Sandbox()
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(scratch.path / "data")],
                      capture_output=True).returncode != 0:
        skip("this host lets nobody mount a small file system (unshare -rm; mount -t tmpfs)")
    inside = subprocess.run(["unshare", "-rm", sys.executable, __file__, "full_host_disk_is_said_and_retry_goes_on"],
                            env={**os.environ, "SKEP_OWN_MOUNTS": "1"})
    if inside.returncode == 77:
        sys.exit(77)
    check(inside.returncode == 0, "see above")


def in_own_mounts():
    kernel, initrd = need("live.vmlinuz", "live.initrd")
    with Desktop() as desktop:
        data = desktop.sandbox.path / "data"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(data)], check=True)
        try:
            fill_and_retry(desktop, data, kernel, initrd)
        finally:
            subprocess.run(["umount", "-l", str(data)], check=False)


def shell(desktop, command, answer, seconds):
    desktop.type(command + "\n")
    desktop.wait(f"{answer!r} on the console", lambda: re.search(answer, desktop.text("terminal1")), seconds)


def fill_and_retry(desktop, data, kernel, initrd):
    desktop.sandbox.ctl("create", "Full", "--firmware", "linux", "--kernel", kernel, "--initrd", initrd, "--append",
                        "console=ttyS0 quiet", "--memory", "256M", "--cpu", "jit", "--disk", "128M")
    filler = data / "filler"
    filler.write_bytes(bytes(FILLER))
    desktop.run_skep()
    desktop.click_item("vmList", "Full")
    desktop.click("actionStart")
    desktop.wait("a shell", lambda: desktop.text("terminal1").rstrip().endswith("skep#"), 240)
    desktop.stage("a shell")
    shell(desktop, "mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && echo mounted $((6 * 7))", r"mounted 42", 120)
    desktop.type(WRITE + "\n")
    desktop.wait_for("noSpaceRetry", 120)
    desktop.stage("the window says that the disk is full")
    title, text = desktop.text("noSpaceBarTitle"), desktop.text("noSpaceBarText")
    print(f"{title!r}: {text!r}", flush=True)
    check("disk space" in title and "Full" in title, title)
    check("is full" in text and "Retry" in text, text)
    check(desktop.text("vmState") == "Disk full", desktop.text("vmState"))
    check(not desktop.enabled("actionPause"), "a machine that waits for space cannot be paused")
    time.sleep(0.5)
    desktop.screenshot("full-1-said")
    desktop.click("noSpaceRetry")   # still full
    time.sleep(2)
    check(desktop.find("noSpaceRetry"), "Retry on a full disk lets the guest go on without its data")
    filler.unlink()
    desktop.click("noSpaceRetry")
    desktop.wait("the end of writing", lambda: "written 42" in desktop.text("terminal1"), 180)
    desktop.wait_text("vmState", "Running", 10)
    check(desktop.find("noSpaceBar") is None, "the message stayed")
    desktop.stage("space freed, Retry pressed: the guest has gone on")
    desktop.screenshot("full-2-went-on")
    (digest,) = set(re.findall(r"([0-9a-f]{64})  -", desktop.text("terminal1")))
    shell(desktop, "umount /mnt; mount /dev/vda /mnt; sha256sum < /mnt/big; echo read $((6 * 7))", r"read 42", 60)
    check(set(re.findall(r"([0-9a-f]{64})  -", desktop.text("terminal1"))) == {digest}, "the file is another after the full disk")
    desktop.type("umount /mnt; poweroff\n")
    desktop.wait_text("vmState", "Off", 60)
    (disk,) = (data / "skep" / "machines" / "Full.skep" / "disks").iterdir()
    check_clean(disk)
    desktop.stage("the disk is clean")


main(full_host_disk_is_said_and_retry_goes_on)
