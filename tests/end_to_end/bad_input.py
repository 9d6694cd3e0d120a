#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one clear sentence on standard error, an exit code that is not 0, and nothing left behind."""
import fcntl
import os
import pathlib
import re
import struct
import subprocess
import tempfile

import tiny_kernel
from skep_guest import SKEPCTL, Sandbox, check, main, need

F_OFD_SETLK = 37  # <fcntl.h>; the module has no name for it before Python 3.9

sandbox = Sandbox()
inputs = tempfile.TemporaryDirectory(prefix="skep-test-")
INPUTS = pathlib.Path(inputs.name)


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refuse(*arguments, saying, code=None):
    """Both as text and as JSON; the machines' folder must stay as it is."""
    scratch = INPUTS / "tmp"
    scratch.mkdir(exist_ok=True)
    before = files_of(sandbox.path)
    done = subprocess.run([str(SKEPCTL), *map(str, arguments)], env={**sandbox.env, "TMPDIR": str(scratch)},
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    shown = f"skepctl {' '.join(map(str, arguments))}: exit {done.returncode}, {done.stderr!r}"
    print(shown, flush=True)
    check(done.returncode not in (0, 124) and done.returncode < 128, f"{shown}: not refused")
    check(code is None or done.returncode == code, f"{shown}: not {code}")
    lines = done.stderr.splitlines()
    check(len(lines) == 1 and re.match(r"skep(ctl|-vmm): .*[.]$", lines[0]), f"{shown}: not one sentence")
    check(re.search(saying, lines[0], re.I), f"{shown}: does not say {saying!r}")
    check(not done.stdout, f"{shown}: wrote {done.stdout!r}")
    check(files_of(sandbox.path) == before, f"{shown}: left {set(files_of(sandbox.path)) ^ set(before)}")
    check(not files_of(scratch), f"{shown}: left {files_of(scratch)} in the folder for temporary files")


def refuse_iso(iso, saying):
    refuse("run", "--iso", iso, saying=saying, code=4)
    refuse("create", "x", "--iso", iso, "--disk", "10M", saying=saying, code=1)


def iso_that_cannot_start_is_refused():
    (live,) = need("live.iso")
    refuse_iso(INPUTS / "missing.iso", "does not exist")
    refuse_iso(INPUTS, "is a folder")
    truncated = INPUTS / "truncated.iso"
    truncated.write_bytes(live.read_bytes()[:3_000_000])
    refuse_iso(truncated, "truncated")
    noise = INPUTS / "noise.iso"
    noise.write_bytes(os.urandom(1_000_000))
    refuse_iso(noise, "no CD image")
    (INPUTS / "disc").mkdir()
    (INPUTS / "disc" / "readme.txt").write_text("no boot loader here")
    plain = INPUTS / "plain.iso"
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", str(plain), str(INPUTS / "disc")], check=True,
                   stderr=subprocess.DEVNULL)
    refuse_iso(plain, "boot")


def iso_that_may_not_be_read_is_refused():
    secret = INPUTS / "secret.iso"
    secret.write_bytes(bytes(100_000))
    secret.chmod(0)
    if os.geteuid() == 0:
        print("left out: root may read every file")
        return
    refuse_iso(secret, "permission|may not be read")


def disk_in_use_by_another_process_is_refused():
    disk = INPUTS / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    with open(disk, "r+b") as held:
        fcntl.fcntl(held, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        refuse("run", "--disk", disk, saying="in use", code=4)


def disk_in_use_by_another_machine_is_refused():
    disk = INPUTS / "shared.img"
    disk.write_bytes(bytes(1 << 20))
    kernel = tiny_kernel.write_kernel(INPUTS / "kernel", tiny_kernel.SLEEP)
    tiny = ["--firmware", "multiboot", "--kernel", kernel, "--memory", "32M", "--disk", disk, "--cpu", "interp"]
    for name in ("first", "second"):
        sandbox.ctl("create", name, *tiny)
    sandbox.ctl("start", "first")
    try:
        refuse("run", *tiny, saying="in use", code=4)
        done = sandbox.ctl("start", "second", check=False)
        check(done.returncode == 1 and "in use" in done.stderr, f"start of the second: {done.returncode} {done.stderr}")
        refuse("start", "first", saying="is running already", code=1)
        refuse("delete", "first", saying="running", code=1)
    finally:
        sandbox.ctl("poweroff", "first")
    sandbox.ctl("delete", "first", "--permanently")
    sandbox.ctl("delete", "second", "--permanently")
    check(disk.exists(), "a disk that is not the machine's own was deleted with it")


def broken_description_is_told_with_line_and_column():
    sandbox.ctl("create", "described", "--memory", "64M")
    (text,) = list((sandbox.path / "data").rglob("described.skep/vm.yaml"))
    good = text.read_text()
    for old, new, saying in ((r"memory: .*", "memory: elephants", r"line \d+, column \d+: .*elephants"),
                             (r"memory: .*", "memory: [", r"line \d+, column \d+: "),
                             (r"cpus: .*", "cpus: 0", r"line \d+, column \d+: "),
                             (r"format: 1", "format: 99", "newer Skep")):
        text.write_text(re.sub(old, new, good))
        broken = text.read_text()
        for command in (["start", "described"], ["info", "described"], ["set", "described", "cpus=1"]):
            refuse(*command, saying=saying, code=1)
        check(text.read_text() == broken, "the broken description was changed")
        check("broken" in sandbox.ctl("list").stdout, "list does not show the broken machine")
    text.write_text(good)
    sandbox.ctl("delete", "described", "--permanently")


def kernel_that_is_none_is_refused():
    none = INPUTS / "kernel.txt"
    none.write_bytes(b"not a kernel\n" * 10_000)
    refuse("run", "--kernel", none, saying="not a Linux kernel", code=4)
    refuse("run", "--kernel", INPUTS / "missing", saying="does not exist", code=4)
    refuse("run", "--kernel", none, "--firmware", "multiboot", saying="multiboot", code=4)


def more_memory_than_the_host_has_is_refused():
    refuse("run", "--memory", "900G", saying="900 GiB of memory, but this host has", code=4)
    refuse("create", "x", "--memory", "900G", saying="900 GiB of memory, but this host has", code=1)


def name_that_is_taken_is_refused():
    sandbox.ctl("create", "taken")
    refuse("create", "taken", saying="named 'taken' already", code=1)
    sandbox.ctl("delete", "taken", "--permanently")
    refuse("info", "taken", saying="no machine", code=1)
    refuse("create", "a/b", saying="name", code=1)


def wrong_command_line_is_refused():
    refuse("run", "--bogus", saying="--bogus", code=4)  # 2 would be a halted guest
    refuse("bogus", saying="bogus", code=2)
    refuse("create", saying="name", code=2)
    refuse("run", "--timeout", "soon", saying="timeout", code=4)
    refuse("run", "--cpus", "many", saying="many", code=4)
    refuse("run", "--disk-bus", "floppy", saying="floppy", code=4)
    refuse("run", "--disk", INPUTS / "missing.img", saying="does not exist", code=4)


main(iso_that_cannot_start_is_refused, iso_that_may_not_be_read_is_refused, disk_in_use_by_another_process_is_refused,
     disk_in_use_by_another_machine_is_refused, broken_description_is_told_with_line_and_column,
     kernel_that_is_none_is_refused, more_memory_than_the_host_has_is_refused, name_that_is_taken_is_refused,
     wrong_command_line_is_refused)
