# SPDX-License-Identifier: GPL-3.0-or-later
"""Booting: processor seconds of the whole process from its start to each milestone; and what an idle guest costs."""
import dataclasses
import mmap
import pathlib
import re
import sys
import time

from engines import Machine, Missing
from guest import Ended, Guest

SHELL = r"skep# "


@dataclasses.dataclass
class Boot:
    """`milestones`: in order, name to what the serial port says."""
    name: str
    about: str
    files: tuple
    milestones: dict
    memory: int = 512
    slow: bool = False   # left out of a quick run
    option: str = ""     # the argument that names another file than that; without `files` it is booted only then
    silence: str = ""    # a line, beside which nobody must have to wait


BOOTS = [
    Boot("boot.direct", "the small Linux, kernel and initrd given directly", ("live.vmlinuz", "live.initrd"),
         {"banner": r"Linux version", "init": r"skep: Linux ", "shell": SHELL}),
    Boot("boot.iso", "the same from its ISO, by SeaBIOS and isolinux", ("live.iso",),
         {"isolinux": r"ISOLINUX 6", "banner": r"Linux version", "init": r"skep: Linux ", "shell": SHELL}),
    Boot("boot.installer", "Debian 12's text installer", ("di-text.iso",),
         {"isolinux": r"boot: ", "banner": r"Linux version", "language": r"Select a language|Choose the language"},
         memory=1024, slow=True, option="installer_iso"),
    Boot("boot.live", "a live Debian with systemd (--live-iso)", (),
         {"isolinux": r"boot: ", "banner": r"Linux version", "init": r"systemd\[1\]|Run /init", "shell": r"root@\S+:\S*# "},
         memory=1024, slow=True, option="live_iso", silence=r"Freeing initrd memory"),
]


def machine_for(boot, options):
    given = getattr(options, boot.option) if boot.option else None
    paths = [given.resolve()] if given else [pathlib.Path(options.media, name).resolve() for name in boot.files]
    for path in paths:
        if not path.exists():
            raise Missing(f"{path.name} is missing: run tests/media/make-media")
    if len(paths) == 2:
        return Machine(memory=boot.memory, kernel=paths[0], initrd=paths[1])
    return Machine(memory=boot.memory, iso=paths[0])


class Pace:
    """When the guest said how much: to see where it was silent, and what that cost."""

    def __init__(self, guest):
        self.guest, self.steps = guest, [(0, 0.0, 0.0)]

    def look(self):
        if len(self.guest.seen) > self.steps[-1][0]:
            if len(self.steps) % 32 == 1:
                self.guest.find_processes()
            self.steps.append((len(self.guest.seen), self.guest.cpu(), self.guest.wall()))

    def silence_at(self, pattern):
        """The longer of the pauses before and behind what matches: {"cpu", "wall"}, or None when nothing does."""
        match = re.search(pattern.encode(), self.guest.seen)
        if not match:
            return None
        at = next(i for i, step in enumerate(self.steps) if step[0] > match.start())
        pairs = zip(self.steps[at - 1:at + 1], self.steps[at:at + 2])
        return max(({"cpu": b[1] - a[1], "wall": b[2] - a[2]} for a, b in pairs), key=lambda pause: pause["cpu"])


def touch_host_memory(mebibytes):
    """Where this computer is a guest too, its host takes memory back that lies unused and charges some milliseconds for each
    huge page that is wanted again. That is no virtual machine's doing: whoever boots next finds memory that is there."""
    page = bytes(1 << 20)
    with mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for _ in range(mebibytes):
            memory.write(page)


def boot_once(engine, machine, boot, timeout, idle_seconds=0):
    """{milestone: {"cpu", "wall"}}; "idle": share of a core after the last one; "silence": the pause beside a line. What was
    not reached is not there."""
    reached, milestones = {}, boot.milestones
    with Guest(engine, machine) as guest:
        pace = Pace(guest)
        while len(reached) < len(milestones) and guest.wall() < timeout:
            guest.step(0.02)
            pace.look()
            for name, pattern in milestones.items():
                if name not in reached and re.search(pattern.encode(), guest.seen):
                    guest.find_processes()
                    reached[name] = {"cpu": guest.cpu(), "wall": guest.wall()}
                    if pattern == r"boot: ":
                        guest.send("\r")  # does not wait for isolinux' clock
        if idle_seconds and len(reached) == len(milestones):
            share = idle(guest, idle_seconds)
            reached |= {"idle": share} if share else {}
        silence = pace.silence_at(boot.silence) if boot.silence else None
        reached |= {"silence": silence} if silence else {}
        if not reached:
            raise Ended(f"nothing reached within {timeout} s")
    return reached


def idle(guest, seconds):
    """Share of a core; None when this program itself did not run for so long that nobody knows what the guest did."""
    time.sleep(seconds / 2)  # what the shell's start left to do
    for _ in range(3):
        before, start = guest.cpu(), time.monotonic()
        time.sleep(seconds)
        wall = time.monotonic() - start
        if wall < 1.2 * seconds:
            return {"cpu": (guest.cpu() - before) / wall, "wall": wall}
    return None


def run(chosen, options, wanted):
    """Boots on every engine, interleaved; {row: {engine: [seconds]}}, {row: {engine: why not}}."""
    found, missing = {}, {}
    for turn in range(options.boot_rounds):
        for boot in BOOTS:
            names = [f"{boot.name}.{milestone}" for milestone in boot.milestones]
            if not any(wanted(name) for name in names) and not (boot is BOOTS[0] and wanted("idle")):
                continue
            if (boot.slow and options.quick) or (not boot.files and not getattr(options, boot.option)):
                continue
            for engine in chosen:
                if engine.name != "native" and engine.name not in missing.get(names[-1], {}):
                    boot_on(engine, boot, options, found, missing)
    return found, missing


def boot_on(engine, boot, options, found, missing):
    names = {milestone: f"{boot.name}.{milestone}" for milestone in boot.milestones}
    idle_seconds = 0
    if boot.silence:
        names["silence"] = f"{boot.name}.silence"
    if boot is BOOTS[0]:
        names["idle"] = "idle"
        idle_seconds = 4 if options.quick else 10
    try:
        machine = machine_for(boot, options)
        touch_host_memory(machine.memory + 256)
        reached = boot_once(engine, machine, boot, options.boot_timeout, idle_seconds)
    except (Missing, Ended) as reason:
        reached = {}
        for name in names.values():
            missing.setdefault(name, {})[engine.name] = str(reason)
    for milestone, times in reached.items():
        found.setdefault(names[milestone], {}).setdefault(engine.name, []).append(times)
    for milestone in set(names) - set(reached):
        missing.setdefault(names[milestone], {}).setdefault(engine.name, f"not seen within {options.boot_timeout} s")
    seen = ", ".join(f"{name} {times['cpu']:.3g}" for name, times in reached.items())
    print(f"{boot.name} on {engine.name}, CPU s: {seen}", file=sys.stderr, flush=True)
