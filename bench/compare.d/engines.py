# SPDX-License-Identifier: GPL-3.0-or-later
"""What can run a guest (or, natively, the programs themselves), and with which command line."""
import dataclasses
import os
import pathlib
import shutil

BOCHSRC = """megs: {memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file={vgabios}
cpu: model=corei7_haswell_4770, count=1
clock: sync=none
boot: cdrom
ata0: enabled=1
ata0-master: type=cdrom, path="{iso}", status=inserted
com1: enabled=1, mode=file, dev="{folder}/serial"
display_library: term
config_interface: textconfig
log: {folder}/bochs.log
panic: action=report
error: action=ignore
info: action=ignore
"""


class Missing(Exception):
    """This engine cannot do that here; the text says why."""


@dataclasses.dataclass
class Machine:
    """What is to be booted: an ISO, or a kernel with its initrd."""
    memory: int = 512       # MiB
    processors: int = 1
    iso: pathlib.Path | None = None
    kernel: pathlib.Path | None = None
    initrd: pathlib.Path | None = None
    append: str = "console=ttyS0,115200n8"


@dataclasses.dataclass
class Engine:
    name: str
    about: str
    command: object                # (Machine, scratch folder) -> list of arguments, or raises Missing
    serial: str = "pipe"           # "pipe": standard streams; "file": SCRATCH/serial, and a terminal to write to
    programs: bool = True          # does it run the benchmark programs, or boots only


def find_program(name, path=None):
    found = shutil.which(name, path=str(path)) if path else shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def skep(build, cpu, extra):
    def command(machine, folder):
        line = [find_program("skepctl", build / "bin"), "run", "--cpu", cpu, "--memory", f"{machine.memory}M",
                "--cpus", str(machine.processors), "--network", "none", *extra]
        if machine.iso:
            return [*line, "--iso", str(machine.iso)]
        return [*line, "--kernel", str(machine.kernel), "--initrd", str(machine.initrd), "--append", machine.append]
    return command


def qemu(machine, folder):
    line = [find_program("qemu-system-x86_64"), "-accel", "tcg", "-cpu", "max", "-machine", "q35",
            "-m", str(machine.memory), "-smp", str(machine.processors), "-display", "none", "-net", "none",
            "-serial", "stdio", "-no-reboot"]
    if machine.iso:
        return [*line, "-cdrom", str(machine.iso)]
    return [*line, "-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", machine.append]


def bochs(machine, folder):
    program = find_program("bochs")
    vgabios = next((p for p in ("/usr/share/bochs/VGABIOS-lgpl-latest", "/usr/share/vgabios/vgabios.bin")
                    if os.path.exists(p)), None)
    if vgabios is None or not os.path.exists("/usr/share/bochs/BIOS-bochs-latest"):
        raise Missing("Bochs' BIOS (bochsbios, vgabios) is not installed")
    if machine.iso is None:
        raise Missing("Bochs boots discs only")
    rc = folder / "bochsrc"
    rc.write_text(BOCHSRC.format(memory=machine.memory, vgabios=vgabios, iso=machine.iso, folder=folder))
    commands = folder / "commands"  # Debian's Bochs has the debugger built in and waits for a word
    commands.write_text("continue\n")
    return [program, "-q", "-f", str(rc), "-rc", str(commands)]


def engines(build, extra):
    """All engines by name. `extra` are further arguments for skepctl."""
    def no_command(machine, folder):
        raise Missing("natively there is nothing to boot")
    known = [
        Engine("native", "the host itself", no_command),
        Engine("jit", "Skep's translator", skep(build, "jit", extra)),
        Engine("interp", "Skep's interpreter", skep(build, "interp", extra)),
        Engine("tcg", "QEMU's TCG, -cpu max", qemu),
        Engine("bochs", "Debian's Bochs", bochs, serial="file", programs=False),
    ]
    return {engine.name: engine for engine in known}
