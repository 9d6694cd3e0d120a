# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of one guest under Skep and under QEMU's TCG share: the guest's console, processor time, its RAM disk."""
import gzip
import os
import pathlib
import re
import select
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "end_to_end"))
from processor_time import TICKS, processor_seconds  # noqa: E402

BOOT_SECONDS = 600
MARK = "SKEP_BENCH_GUEST"


def build_program(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-static", "-o", target, TOP / "tests" / "guest" / "linux" / source, "-pthread"], check=True)
    return target


def initrd(media, program, folder):
    """The live Linux's, with a program (a path that ends in bin/NAME) behind it: a kernel unpacks one archive after the other."""
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0"], cwd=program.parent.parent,
                             input=f"bin\nbin/{program.name}\n".encode(), capture_output=True, check=True).stdout
    target = folder / "initrd"
    target.write_bytes((media / "live.initrd").read_bytes() + gzip.compress(archive))
    return target


def children(pid):
    try:
        return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []  # it has ended


class Guest:
    """A process with the guest's serial console on its standard streams."""

    def __init__(self, command):
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env={**os.environ, MARK: self.mark})
        self.seen = ""

    def expect(self, pattern, timeout):
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"no {pattern!r} from {self.process.args[0]}: {self.seen[-500:]}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise SystemExit(f"{self.process.args[0]} has ended: {self.seen[-500:]}")
            self.seen += data.decode("utf-8", "replace")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def processes(self):
        """All that were started for this guest: the worker and its network process, too, and what that has started, which an ordinary
        user cannot look into."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                pass  # it has ended, or is somebody else's
        return sorted({each for pid in found for each in [pid, *children(pid)]})

    def processor_seconds(self):
        total = 0
        for pid in self.processes():
            try:
                total += processor_seconds(pid)
            except OSError:
                pass
        return total

    def end(self):
        self.process.kill()  # takes skepctl's worker with it
        self.process.wait()

    def measure(self, name, kinds):
        """{kind: (count, wall seconds, processor seconds)} of a program that says "NAME: begin KIND", waits for a line, and says
        "NAME: KIND COUNT ..." when it has done it."""
        found = {}
        for kind in kinds:
            self.expect(f"{name}: begin {kind}\r", BOOT_SECONDS)
            used, begin = self.processor_seconds(), time.monotonic()
            self.send("\n")
            count = int(self.expect(rf"{name}: {kind} (\d+)\b[^\r]*\r", BOOT_SECONDS)[1])
            seconds = time.monotonic() - begin
            found[kind] = (count, seconds, max(self.processor_seconds() - used, 1 / TICKS))
        self.expect(f"{name}: done", 60)
        return found


def median_cells(figures, what):
    """Ours, theirs, and ours over theirs."""
    ours, theirs = (statistics.median(figures[what][program]) for program in ("skep", "tcg"))
    return [ours, theirs, ours / theirs if theirs else float("inf")]
