# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of the library with the live Linux in it, driven through skepctl."""
import hashlib
import json
import os
import re
import signal
import subprocess
import time

from skep_guest import SKEPCTL, TEST_CPU, Console, check, need

SHELL = "skep# "


class LiveMachine:
    """Created at once; start() brings it to its shell. The kernel is loaded directly unless `iso` is given."""

    def __init__(self, sandbox, name, *options, iso=None, kernel="live"):
        self.take(sandbox, name)
        if iso:
            start = ["--iso", iso]
        else:
            vmlinuz, initrd = need(f"{kernel}.vmlinuz", f"{kernel}.initrd")
            start = ["--kernel", vmlinuz, "--initrd", initrd, "--append", "console=ttyS0 quiet"]
        self.ctl("create", "--memory", "256M", "--cpu", TEST_CPU, *start, *options)

    def take(self, sandbox, name):
        self.sandbox, self.name, self.pid = sandbox, name, None

    @classmethod
    def known(cls, sandbox, name):
        """One that was, or will be, created otherwise."""
        machine = cls.__new__(cls)
        machine.take(sandbox, name)
        return machine

    def ctl(self, command, *arguments, check=True):
        return self.sandbox.ctl(command, self.name, *arguments, check=check)

    def json(self, command, *arguments):
        return json.loads(self.sandbox.ctl("--json", command, self.name, *arguments).stdout)

    def state(self):
        return self.json("info")["state"]

    def folder(self):
        (folder,) = list((self.sandbox.path / "data").rglob(f"{self.name}.skep"))
        return folder

    def disk(self):
        (disk,) = list((self.folder() / "disks").iterdir())
        return disk

    def raw_copy(self):
        """What is on the disk, as a raw image. A qcow2 must have no errors; space may be lost in one that was not closed."""
        copy = self.sandbox.path / f"{self.name}.raw"
        copy.unlink(missing_ok=True)
        if self.disk().suffix == ".qcow2":
            checked = self.sandbox.ctl("disk", "check", self.disk(), check=False)
            check(checked.returncode in (0, 3), f"disk check: exit {checked.returncode}\n{checked.stdout}{checked.stderr}")
        self.sandbox.ctl("disk", "convert", self.disk(), copy, "--format", "raw")
        return copy

    def console(self, *options):
        return Console([SKEPCTL, "console", self.name, *options], env=self.sandbox.env, name=self.name)

    def start(self):
        """Starts and waits for the shell; returns the console."""
        self.pid = self.json("start")["pid"]
        console = self.console()
        console.expect(SHELL, 300)
        return console

    def power_off(self, console):
        console.send("poweroff\n")
        check(console.wait(120) == 0, f"{self.name}: the console ended with {console.process.returncode}")
        self.wait_for_end("ended by power-off", 1)

    def wait_for_end(self, what, code):
        self.wait_for_state("stopped", 60)
        last = self.json("info")["last_exit"]
        check(last["code"] == code, f"{self.name}: {what}, but its last exit is {last}")

    def wait_for_state(self, state, seconds):
        deadline = time.monotonic() + seconds
        while self.state() != state:
            check(time.monotonic() < deadline, f"{self.name} is {self.state()}, not {state}, after {seconds} s")
            time.sleep(0.1)

    def kill_worker(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait_for_state("crashed", 20)

    def clean_up(self):
        """For `finally`: nothing of the machine goes on."""
        if self.pid and "skep-vmm" in command_line(self.pid):
            os.kill(self.pid, signal.SIGKILL)


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def e2fsck(option, image):
    """The exit code: 0 clean, 1 repaired (which includes a replayed journal)."""
    done = subprocess.run(["e2fsck", option, str(image)], env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
                          capture_output=True, text=True)
    print(f"e2fsck {option}: exit {done.returncode}", flush=True)
    return done.returncode, done.stdout + done.stderr


def check_clean(image):
    code, text = e2fsck("-fn", image)
    check(code == 0, f"e2fsck -fn {image}: exit {code}\n{text}")


def partition_offset(image):
    """Of the first partition of an MBR, in bytes."""
    with open(image, "rb") as file:
        sector = file.read(512)
    check(sector[510:] == b"\x55\xaa", "the disk has no partition table")
    return int.from_bytes(sector[454:458], "little") * 512


def sha256_of(folder_output):
    """{file: sum} of sha256sum's output."""
    return {name: digest for digest, name in re.findall(r"([0-9a-f]{64})  (\S+)", folder_output)}


def digest(data):
    return hashlib.sha256(data).hexdigest()
