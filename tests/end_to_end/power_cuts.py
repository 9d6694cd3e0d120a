#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts under a Linux that saves files: nothing that it was promised is lost, and its file system is whole.

A guest makes an ext4 and runs tests/guest/linux/cut_files.c on it while the worker records what happens to the disk and to the
image's file. build/release/tests/power_cuts/power-cuts then cuts the power anywhere in that. tests/by_hand/power_cuts does
it at length."""
import gzip
import os
import pathlib
import shutil
import subprocess
import sys

from skep_guest import BUILD, TEST_CPU, Console, Sandbox, check, main, need, skip

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = BUILD / "tests" / "power_cuts" / "power-cuts"
DISK_BYTES = 64 << 20
SHELL = "skep# "


def initrd(folder):
    """The live Linux's, with cut_files behind it: a kernel unpacks one archive after the other."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    compiled = subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", root / "bin" / "cut_files",
                               SOURCE / "tests" / "guest" / "linux" / "cut_files.c"], capture_output=True, text=True)
    check(compiled.returncode == 0, compiled.stderr)
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0"], cwd=root, input=b"bin\nbin/cut_files\n",
                             capture_output=True, check=True).stdout
    _, live = need("live.vmlinuz", "live.initrd")
    target = folder / "initrd"
    target.write_bytes(live.read_bytes() + gzip.compress(archive))
    return target


class Recording:
    """A guest that has saved files on a disk of `image_format`, and the log of it; all in `folder`."""

    def __init__(self, folder, image_format, steps, seed):
        self.folder, self.format = folder, image_format
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self.before = folder / "log", folder / f"before.{image_format}"
        self.sandbox = Sandbox()
        disk, said = folder / f"disk.{image_format}", folder / "said.img"
        self.sandbox.ctl("disk", "create", disk, str(DISK_BYTES), "--format", image_format)
        self.sandbox.ctl("disk", "create", said, "64K", "--format", "raw")
        shutil.copy(disk, self.before)
        self.record(disk, said, steps, seed)

    def record(self, disk, said, steps, seed):
        kernel, _ = need("live.vmlinuz", "live.initrd")
        spec = self.folder / "spec.yaml"
        spec.write_text(f"name: power cuts\nmemory: 192M\ncpus: 1\ncpu: {{backend: {TEST_CPU}}}\n"
                        f"firmware: linux\nkernel: {kernel}\ninitrd: {initrd(self.folder)}\nappend: console=ttyS0 quiet\n"
                        f"disks:\n  - {{id: disk0, file: {disk}, bus: virtio, format: {self.format}}}\n"
                        f"  - {{id: said, file: {said}, bus: virtio, format: raw}}\n")
        console = Console([BUILD / "bin" / "skep-vmm", "--spec", spec, "--stdio", "--record-disks", self.log], env=self.sandbox.env)
        try:
            console.expect(SHELL, 300)
            console.run("mkfs.ext4 -q -b 1024 /dev/vda && mount -o discard,commit=1 /dev/vda /mnt", 120)
            console.send(f"cut_files /mnt /dev/vdb {steps} {seed}\n")
            console.expect("cut_files: done", 300 + steps)
            console.send("poweroff -f\n")
            console.wait(60)
        finally:
            console.kill()

    def cut(self, cuts, *options):
        """Starts power-cuts on it; its standard output is for the caller."""
        work = pathlib.Path("/dev/shm" if os.path.isdir("/dev/shm") else self.folder) / f"skep-power-cuts-{os.getpid()}"
        work.mkdir(exist_ok=True)
        self.work = work
        return subprocess.Popen([PROGRAM, "--log", self.log, "--disk", "disk0", "--said", "said", "--image", self.before, "--size",
                                 str(DISK_BYTES), "--format", self.format, "--work", work, "--cuts", str(cuts), *map(str, options)],
                                stdout=subprocess.PIPE, text=True)

    def clean_up(self):
        shutil.rmtree(self.work, ignore_errors=True)


def nothing_promised_is_lost(image_format):
    if not PROGRAM.exists():
        skip(f"{PROGRAM} is not built")
    sandbox = Sandbox()
    recording = Recording(sandbox.path / image_format, image_format, 80, 1)
    try:
        good = recording.cut(200, "--qemu-every", 50)
        said = good.communicate(timeout=200)[0]
        print(said)
        check(good.returncode == 0, "a promise was broken")
        lie = recording.cut(40, "--lie")  # the same on a host whose flushes do nothing: this test must see it
        said = lie.communicate(timeout=200)[0]
        check(lie.returncode == 1, f"flushes that do nothing were not noticed:\n{said}")
    finally:
        recording.clean_up()


def raw():
    nothing_promised_is_lost("raw")


def qcow2():
    nothing_promised_is_lost("qcow2")


if __name__ == "__main__":
    main(raw, qcow2)
