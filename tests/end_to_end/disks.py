#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest has written stays: over a cold start, over kill -9 of the worker, and over a full host disk.

kill_during_* run SKEP_KILL_ROUNDS rounds (default 5).
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from live_machine import LiveMachine, check_clean, digest, e2fsck, partition_offset, sha256_of
from skep_guest import Sandbox, check, main, need, skip

# Files of known sizes around block and extent limits, random content, named after their size.
WRITE_FILES = ("for size in 1 511 4096 70000 1048576 3000001; do head -c $size /dev/urandom > /mnt/$size; done; "
               "mkdir /mnt/deep; cp /mnt/70000 /mnt/deep/; ln -s 4096 /mnt/link; sync")
SUMS = "cd /mnt; sha256sum 1 511 4096 70000 1048576 3000001 deep/70000 link; cd /"


def kept_over_a_cold_start(bus, device, kernel):
    machine = LiveMachine(Sandbox(), f"kept on {bus}", "--disk", "96M", "--disk-bus", bus, kernel=kernel)
    try:
        console = machine.start()
        console.run(f"printf 'n\\np\\n1\\n\\n\\nw\\n' | fdisk {device}", 60)
        console.run(f"mkfs.ext4 -q {device}1 && mount {device}1 /mnt", 120)
        console.run(WRITE_FILES, 120)
        written = sha256_of(console.run(SUMS, 60))
        check(len(written) == 8, f"eight files expected: {written}")
        machine.power_off(console)
        check_partition(machine)
        console = machine.start()
        console.run(f"mount {device}1 /mnt", 60)
        check(sha256_of(console.run(SUMS, 60)) == written, "the files have changed over the cold start")
        check("0" == console.run(f"umount /mnt; dmesg | grep -ciE 'I/O error|exception|failed command|[^p]reset' || true").strip()[-1:],
              "the guest's kernel has seen disk errors")
        machine.power_off(console)
    finally:
        machine.clean_up()


def check_partition(machine):
    image = machine.sandbox.path / "partition.img"
    with open(machine.disk(), "rb") as disk, open(image, "wb") as copy:
        disk.seek(partition_offset(machine.disk()))
        shutil.copyfileobj(disk, copy)
    check_clean(image)


def virtio_disk_is_kept():
    kept_over_a_cold_start("virtio", "/dev/vda", "live")


def ahci_disk_is_kept():
    kept_over_a_cold_start("ahci", "/dev/sda", "generic")


WRITER = """cat > /tmp/writer <<'END'
n=0
while :; do
  n=$((n + 1)); f=/mnt/$1-$n
  head -c $((n * 7919 % 50000 + 1)) /dev/urandom | dd of=$f conv=fsync 2> /dev/null
  echo "kept $(sha256sum $f)"
  [ $((n % 5)) != 0 ] || rm /mnt/$1-$((n - 4))
done
END
true"""


def kept_files(text):
    """{name: digest} of what the guest said was safe, less the files that the writer deletes later."""
    said = re.findall(r"kept ([0-9a-f]{64})  /mnt/(\d+[ab]-(\d+))\r?\n", text)
    return {name: content for content, name, number in said if int(number) % 5 != 1}


def check_kept(image, kept):
    for name, wanted in kept.items():
        got = subprocess.run(["/sbin/debugfs", "-R", f"cat /{name}", str(image)], capture_output=True).stdout
        check(digest(got) == wanted, f"{name} was reported as safe, but its content is another ({len(got)} bytes)")


def kill_during_writes():
    killed_during_writes("virtio", "/dev/vda", "live")


def kill_during_ahci_writes():
    killed_during_writes("ahci", "/dev/sda", "generic")


def kill_during_qcow2_writes():
    killed_during_writes("nvme", "/dev/nvme0n1", "generic", "qcow2")


def killed_during_writes(bus, device, kernel, image_format="raw"):
    rounds = int(os.environ.get("SKEP_KILL_ROUNDS", "5"))
    machine = LiveMachine(Sandbox(), f"killed on {bus}", "--disk", "256M", "--disk-bus", bus, "--disk-format", image_format, kernel=kernel)
    kept = {}
    try:
        for number in range(1, rounds + 1):
            begin = time.monotonic()
            console = machine.start()
            if number == 1:
                console.run(f"mkfs.ext4 -q {device}", 120)
            console.run(f"mount {device} /mnt", 60)
            check("0" == console.run("dmesg | grep -c 'EXT4-fs error' || true").strip()[-1:], "ext4 has found errors")
            console.run(WRITER)
            console.position = len(console.seen)
            console.send(f"for w in a b; do sh /tmp/writer {number}$w & done\n")
            for _ in range(4 + number % 5):
                console.expect(r"kept [0-9a-f]{64}  \S+\r?\n", 60)
            time.sleep(0.037 * (number % 7))
            machine.kill_worker()
            console.wait(20)
            new = kept_files(console.seen)
            kept.update(new)
            replayed = machine.raw_copy()
            code, text = e2fsck("-fy", replayed)
            check(code in (0, 1), f"replaying the journal: exit {code}\n{text}")
            check_clean(replayed)
            check_kept(replayed, kept)
            print(f"round {number}: {len(new)} files kept, {len(kept)} in all, {time.monotonic() - begin:.1f} s", flush=True)
        check(len(kept) >= 3 * rounds, f"only {len(kept)} files were written")
        machine.ctl("start")  # a killed machine is as good as new
        machine.ctl("poweroff")
    finally:
        machine.clean_up()


def gives_space_back(folder):
    file = folder / "holes"
    file.write_bytes(os.urandom(4 << 20))
    with open(file, "rb+") as written:
        os.fsync(written.fileno())
    punched = subprocess.run(["fallocate", "--punch-hole", "--offset", "0", "--length", str(4 << 20), str(file)], check=False)
    kept = file.stat().st_blocks * 512
    file.unlink()
    return punched.returncode == 0 and kept < 1 << 20


def trimmed_space_is_given_back():
    """What the guest uses, what its image uses, and what comes back when it trims: told while it runs, and after."""
    sandbox = Sandbox()
    if not gives_space_back(sandbox.path):
        skip(f"the host's file system at {sandbox.path} keeps what is punched out of a file")
    machine = LiveMachine(sandbox, "trimmed", "--disk", "96M")

    def ledger():
        return json.loads(machine.sandbox.ctl("--json", "disk", "info", machine.disk()).stdout)

    def wait_for(what, condition):
        # ext4 writes its counts down when it likes: half a minute after a commit where lazy initialisation has them in hand
        deadline = time.monotonic() + 150
        while not condition(now := ledger()):
            check(time.monotonic() < deadline, f"{what}: {now}")
            time.sleep(1)
        print(f"{what}: {now}", flush=True)

    try:
        console = machine.start()
        console.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && head -c 40m /dev/urandom > /mnt/file && sync", 120)
        wait_for("written", lambda now: now["running"] and now["host_size"] > 40 << 20 and now["guest"] and now["guest"]["used"] > 40 << 20)
        console.run("rm /mnt/file; sync; umount /mnt", 60)
        wait_for("deleted", lambda now: now["reclaimable"] > 20 << 20)
        console.run("mount /dev/vda /mnt; fstrim -v /mnt; sync; umount /mnt", 60)
        wait_for("trimmed", lambda now: now["host_size"] < 20 << 20 and now["reclaimable"] < 8 << 20)
        check(json.loads(machine.sandbox.ctl("--json", "info", "trimmed").stdout)["worker"]["disks"][0]["guest"]["file_systems"] == 1,
              "`skepctl info` has no ledger")
        machine.power_off(console)
        after = ledger()
        check("running" not in after and after["guest"]["file_systems"] == 1 and after["reclaimable"] < 8 << 20, f"off: {after}")
    finally:
        machine.clean_up()


def full_host_disk_holds_the_machine():
    with_a_small_host_disk("full_host_disk_holds_the_machine", "raw")


def full_host_disk_holds_a_qcow2_machine():
    with_a_small_host_disk("full_host_disk_holds_a_qcow2_machine", "qcow2")


def with_a_small_host_disk(test, image_format):
    """In a mount namespace of its own with a small file system for the library."""
    if os.environ.get("SKEP_SMALL_DISK"):
        on_small_disk(pathlib.Path(os.environ["SKEP_SMALL_DISK"]), image_format)
        return
    sandbox = Sandbox()
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(sandbox.path / "data")],
                      capture_output=True).returncode != 0:
        skip("this host lets nobody mount a small file system (unshare -rm; mount -t tmpfs)")
    inside = subprocess.run(["unshare", "-rm", sys.executable, __file__, test],
                            env={**os.environ, "SKEP_SMALL_DISK": str(sandbox.path)})
    check(inside.returncode == 0, "see above")


def on_small_disk(path, image_format):
    sandbox = Sandbox()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(sandbox.path / "data")], check=True)
    machine = LiveMachine(sandbox, "full", "--disk", "128M", "--disk-format", image_format)
    filler = sandbox.path / "data" / "filler"
    filler.write_bytes(bytes(24 << 20))
    try:
        console = machine.start()
        console.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt", 120)
        console.position = len(console.seen)
        console.send("head -c 25000000 /dev/urandom > /mnt/big; sha256sum < /mnt/big; sync; echo synced $((6 * 7))\n")
        machine.wait_for_state("no_space", 120)
        reason = machine.json("info")["status"]["reason"]
        print("the reason:", reason, flush=True)
        check(re.search(r"full|space", reason) and reason.endswith("."), f"the reason is {reason!r}")
        check(reason in machine.ctl("info").stdout, "info does not show the reason")
        refused = machine.ctl("pause", check=False)
        check(refused.returncode == 1 and "full" in refused.stderr, f"pause: {refused.stderr}")
        machine.ctl("retry")  # still full: held again
        machine.wait_for_state("no_space", 30)
        filler.unlink()
        machine.ctl("retry")
        console.expect("synced 42", 120)
        check(machine.state() == "running", f"after retry the machine is {machine.state()}")
        (wanted,) = re.findall(r"([0-9a-f]{64})  -", console.seen)
        console.run("echo 3 > /proc/sys/vm/drop_caches")
        check(wanted in console.run("sha256sum < /mnt/big", 60), "the file is another after the full disk")
        check("0" == console.run("dmesg | grep -ciE 'I/O error|EXT4-fs error|timeout|aborted' || true").strip()[-1:],
              "the guest has seen errors")
        console.run("umount /mnt")
        machine.power_off(console)
        check_clean(machine.raw_copy())
    finally:
        machine.clean_up()
        subprocess.run(["umount", "-l", str(sandbox.path / "data")], check=False)


def linux_reads_the_cd():
    """Linux' own AHCI and CD drivers, against the file on the host."""
    iso, kernel = need("generic.iso", "generic.vmlinuz")
    machine = LiveMachine(Sandbox(), "CD", "--iso", iso, "--firmware", "linux", kernel="generic")
    try:
        console = machine.start()
        console.run("mkdir /cd; mount -t iso9660 -o ro /dev/sr0 /cd", 60)
        check(digest(kernel.read_bytes()) in console.run("sha256sum < /cd/vmlinuz", 60), "the CD's file is another in the guest")
        console.run("umount /cd")
        machine.ctl("eject")
        check("empty" in console.run("mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null || echo empty", 60), "not ejected")
        machine.ctl("insert", iso)
        console.run("mount -t iso9660 -o ro /dev/sr0 /cd", 60)
        machine.ctl("poweroff")
    finally:
        machine.clean_up()


main(virtio_disk_is_kept, linux_reads_the_cd, ahci_disk_is_kept, kill_during_writes, kill_during_ahci_writes, kill_during_qcow2_writes,
     trimmed_space_is_given_back, full_host_disk_holds_the_machine, full_host_disk_holds_a_qcow2_machine)
