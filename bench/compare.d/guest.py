# SPDX-License-Identifier: GPL-3.0-or-later
"""A process whose serial port (or standard output) is read and written, and the processor time it has used."""
import contextlib
import os
import pathlib
import pty
import re
import select
import subprocess
import tempfile
import time

CPUCLOCK_SCHED = 2  # Linux: the clock of another process is ~pid << 3 | kind, in ns, all its threads


class Ended(Exception):
    """The guest is gone or says nothing more; the text says why."""


def process_tree(root):
    """Process ids of `root` and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(pids):
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    return total


def thread_times(pids):
    """{thread: (processor time had, processor time waited for)} in seconds."""
    times = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                ran, waited, _ = pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()
                times[task] = (int(ran) / 1e9, int(waited) / 1e9)
    return times


def demand(before, after, threads):
    """What the busiest `threads` threads ran and waited to run in between: what they would have had on a free machine."""
    used = sorted((tuple(map(float.__sub__, after[task], before.get(task, (0.0, 0.0)))) for task in after), reverse=True)
    return sum(sum(pair) for pair in used[:threads])


def is_running(pids):
    """Does any thread want a processor now?"""
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            for task in os.listdir(f"/proc/{pid}/task"):
                if pathlib.Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split()[0] == "R":
                    return True
    return False


class Guest:
    """Starts `command(machine, scratch folder)`; use as a context manager, so that nothing stays behind."""

    def __init__(self, engine, machine=None, arguments=None):
        self.scratch = tempfile.TemporaryDirectory(prefix="skep-compare-")
        folder = pathlib.Path(self.scratch.name)
        self.serial = folder / "serial" if engine.serial == "file" else None
        self.errors = folder / "errors"
        self.name, self.seen, self.position, self.terminal = engine.name, b"", 0, None
        try:
            command = arguments or engine.command(machine, folder)
        except BaseException:
            self.scratch.cleanup()
            raise
        with open(self.errors, "wb") as log:
            self.start = time.monotonic()
            if self.serial:
                self.terminal, inside = pty.openpty()  # Bochs' text display wants one, though nobody looks
                self.process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=log,
                                                env={**os.environ, "TERM": "xterm"})
                os.close(inside)
            else:
                self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.pids = [self.process.pid]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for pid in reversed(process_tree(self.process.pid)):
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
        self.process.wait()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None
        self.scratch.cleanup()

    def wall(self):
        return time.monotonic() - self.start

    def find_processes(self):
        self.pids = process_tree(self.process.pid)

    def cpu(self):
        return cpu_seconds(self.pids)

    def settled_cpu(self):
        """Processor time once the guest sleeps again (or after 0.3 s)."""
        deadline = time.monotonic() + 0.3
        while True:
            time.sleep(0.003)
            if not is_running(self.pids) or time.monotonic() > deadline:
                return self.cpu()

    def send(self, text):
        with contextlib.suppress(BrokenPipeError):
            if self.terminal is None:
                self.process.stdin.write(text.encode())
                self.process.stdin.flush()

    def step(self, seconds=0.05):
        """Reads what is there, waiting a little; raises Ended when nothing more can come."""
        source = self.process.stdout.fileno() if self.terminal is None else self.terminal
        data = None
        if select.select([source], [], [], seconds)[0]:
            try:
                data = os.read(source, 65536)
            except OSError:
                data = b""
            if self.terminal is None:
                self.seen += data
        if self.serial:
            with contextlib.suppress(OSError):
                self.seen = self.serial.read_bytes()
        if data == b"" or (data is None and self.process.poll() is not None):
            raise Ended(self.last_words())

    def last_words(self):
        words = [line for line in self.errors.read_text(errors="replace").splitlines() if line.strip()]
        return words[-1][:200] if words else "it ended without a word"

    def expect(self, pattern, timeout):
        """Waits for a pattern after what was expected last; returns the match."""
        expression = re.compile(pattern.encode())
        deadline = time.monotonic() + timeout
        while True:
            match = expression.search(self.seen, self.position)
            if match:
                self.position = match.end()
                return match
            if time.monotonic() > deadline:
                raise Ended(f"nothing within {timeout} s: {self.seen[-200:].decode('utf-8', 'replace').strip()!r}")
            self.step()
