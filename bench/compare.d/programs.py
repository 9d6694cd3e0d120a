# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark programs: building them, packing the guest, and measuring one after the other on every engine.

Natively the cost of a run is the processor time of the program and its children. Of a guest it is the processor time
that its whole process on the host used between "go" and "done", less what an empty run costs. Every engine gets the
same program; a slow one gets the row's number of operations divided by a power of two, and costs are per operation.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

from engines import Engine, Machine, Missing
from guest import Ended, Guest, demand, thread_times

GUEST = pathlib.Path(__file__).resolve().parent.parent / "guest"
MAX_SHIFT = 8        # a slow engine does at least 1/256 of the operations
PROBE_SHIFT = 6
RUN_TIMEOUT = 120    # wall seconds; the machine may be busy
BOOT_TIMEOUT = 180
ANSWER = r"(done|skip|failed) ([^\r\n]*)\r?\n"


class NoBuild(Exception):
    pass


def build(out):
    """Compiles bench/guest and packs the initramfs; returns their paths."""
    sources = sorted(GUEST.glob("*.c"))
    program, initramfs = out / "guest" / "bench", out / "guest" / "initramfs"
    program.parent.mkdir(parents=True, exist_ok=True)
    inputs = [*sources, GUEST / "bench.h", GUEST / "init", pathlib.Path(__file__)]
    if initramfs.exists() and all(initramfs.stat().st_mtime > source.stat().st_mtime for source in inputs):
        return program, initramfs
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-pthread", "-o", str(program)]
    done = subprocess.run([*command, *map(str, sources), "-lz"], capture_output=True, text=True)
    if done.returncode != 0:
        raise NoBuild(f"Compiling the benchmark programs failed; 'scripts/setup bench' installs what they need.\n{done.stderr}")
    pack(program, initramfs)
    return program, initramfs


def pack(program, initramfs):
    root = initramfs.parent / "root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "dev", "proc", "sys"):
        (root / folder).mkdir(parents=True)
    shutil.copy(program, root / "bench")
    shutil.copy(GUEST / "init", root / "init")
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for applet in ("sh", "mount", "stty", "setsid", "poweroff"):
        (root / "bin" / applet).symlink_to("busybox")
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0"], cwd=root, input=names.encode(),
                             capture_output=True, check=True).stdout
    initramfs.write_bytes(archive)


@dataclasses.dataclass
class Row:
    name: str
    unit: str
    count: int
    processors: int


@dataclasses.dataclass
class Sample:
    """One measurement, in seconds for `count` operations."""
    count: int
    cpu: float    # what the host spent
    wall: float   # by the clock of whoever ran it
    checksum: str
    processors: float = 0.0   # how many the guest's threads wanted at a time, 0 where that is not known


def rows(program):
    """What the program can do."""
    listing = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[1:] for line in listing.splitlines() if line.startswith("bench ")]
    return [Row(name, unit, int(count), int(processors)) for name, unit, count, processors in found]


class Runner:
    """One engine with the programs ready to run; a guest that dies is booted again for the next row."""

    def __init__(self, engine, machine, program):
        self.engine, self.machine, self.program = engine, machine, program
        self.guest, self.missing, self.empty, self.boots = None, None, 0.0, 0

    def start(self):
        """Boots; afterwards `missing` says why not, if not."""
        native = self.engine.name == "native"
        try:
            self.boots += 1
            self.guest = Guest(self.engine, self.machine, [str(self.program), "serve"] if native else None)
            self.guest.expect(r"\nend\r?\n", BOOT_TIMEOUT)
            self.guest.find_processes()
            self.empty = statistics.median(self.measure("nothing", 1).cpu for _ in range(5))
        except (Missing, Ended) as reason:
            self.missing = str(reason)
            self.close()

    def close(self):
        if self.guest is not None:
            self.guest.close()
            self.guest = None

    def measure(self, name, count):
        """One run; raises Ended (the guest is gone) or Missing (this row is not for it)."""
        self.guest.send(f"run {name} {count}\n")
        match = self.guest.expect(rf"ready\r?\n|{ANSWER}", RUN_TIMEOUT)
        if match.group(1):
            raise Missing(match.group(2).decode("utf-8", "replace"))
        before, threads = self.guest.settled_cpu(), thread_times(self.guest.pids)
        self.guest.send("go\n")
        match = self.guest.expect(ANSWER, RUN_TIMEOUT)
        words = match.group(2).decode("utf-8", "replace").split()
        if match.group(1) != b"done":
            raise Missing(" ".join(words))
        wall, cpu, wanted = int(words[2]) / 1e9, int(words[3]) / 1e9, 0.0
        if self.engine.name != "native":
            cpu = self.guest.settled_cpu() - before - self.empty
            wanted = demand(threads, thread_times(self.guest.pids), self.machine.processors) - self.empty
        self.guest.send("bye\n")
        return Sample(count, max(cpu, 1e-9), wall, words[4], wanted / wall)

    def try_measure(self, name, count):
        """A Sample or the reason why there is none."""
        if self.guest is None and self.missing is None:
            self.start()
        if self.missing is not None:
            return self.missing
        try:
            return self.measure(name, count)
        except Missing as reason:
            return str(reason)
        except Ended as reason:
            self.close()  # the next row boots it again
            if self.boots > 4:
                self.missing = f"gave up after {self.boots} boots"
            return str(reason)


class Results:
    """All samples: by row and engine, one for each round."""

    def __init__(self, found):
        self.rows = {row.name: row for row in found}
        self.samples = {row.name: {} for row in found}
        self.missing = {row.name: {} for row in found}
        self.wrong = []
        self.empty = {}


def probe(results, row, runners, seconds):
    """Operations for each engine so that a run takes about `seconds`; compares what was computed with native."""
    counts, sums = {}, {}
    small = max(row.count >> PROBE_SHIFT, 1)
    for runner in runners:
        sample = runner.try_measure(row.name, small)
        if isinstance(sample, str):
            results.missing[row.name][runner.engine.name] = sample
            continue
        sums[runner.engine.name] = sample.checksum
        shift = 0
        while shift < MAX_SHIFT and sample.cpu / small * (row.count >> shift) > seconds * 1.5:
            shift += 1
        counts[runner.engine.name] = max(row.count >> shift, 1)
    for name, checksum in sums.items():
        if checksum != sums.get("native", checksum):
            results.wrong.append(f"{row.name} on {name}: {checksum}, natively {sums['native']}")
    return counts


def run(found, chosen: list[Engine], machine: Machine, program, options, results):
    """Measures the rows on all engines, interleaved: round, row, engine."""
    runners = [Runner(engine, machine, program) for engine in chosen if engine.programs]
    try:
        for runner in runners:
            runner.start()
            results.empty[f"{runner.engine.name}, {machine.processors} processors"] = runner.empty
            print(f"{runner.engine.name}: {runner.missing or 'ready'}", file=sys.stderr, flush=True)
        plan = {row.name: probe(results, row, runners, options.seconds) for row in found}
        for turn in range(options.rounds):
            for row in found:
                measure_row(results, row, runners, plan[row.name], turn)
    finally:
        for runner in runners:
            runner.close()


def measure_row(results, row, runners, counts, turn):
    """One round of one row; another engine comes first each time."""
    for runner in runners[turn % len(runners):] + runners[:turn % len(runners)]:
        name = runner.engine.name
        if name not in counts:
            continue
        sample = runner.try_measure(row.name, counts[name])
        if isinstance(sample, str):
            results.missing[row.name][name] = sample
        else:
            results.samples[row.name].setdefault(name, []).append(sample)
    last = {name: samples[-1] for name, samples in results.samples[row.name].items()}
    costs = ", ".join(f"{name} {sample.cpu / sample.count * 1e9:.4g}" for name, sample in last.items())
    print(f"round {turn + 1} {row.name}, ns: {costs}", file=sys.stderr, flush=True)
