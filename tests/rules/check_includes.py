#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every include of our own must follow an arrow of arrows.txt; Qt stays in ui/ and app/gui, KVM's header in vmm/kvm."""
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
arrows = {}
for line in (top / "tests/rules/arrows.txt").read_text().splitlines():
    if line and not line.startswith("#"):
        room, allowed = line.split(":")
        arrows[room] = set(allowed.split())



# devices/catalogue.def is of the room devices/catalogue.
def room_of(parts):
    return "/".join(parts[:2]).removesuffix(".def")


problems = []
checked = 0
for tree in ("vmm", "devices", "display", "ui", "app"):
    for path in sorted((top / tree).rglob("*")):
        if path.suffix not in (".hpp", ".cpp", ".def"):
            continue
        relative = path.relative_to(top)
        room = room_of(relative.parts)
        if room not in arrows:
            problems.append(f"{relative}: the room {room} is not in arrows.txt")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not found:
                continue
            checked += 1
            target = found.group(2)
            if found.group(1) == '"':
                other = room_of(target.split("/"))
                if "/" not in target:
                    if not target.endswith((".moc", ".inc")):
                        problems.append(f"{relative}:{number}: write the include from the root: {target}")
                elif other != room and "*" not in arrows[room] and other not in arrows[room]:
                    problems.append(f"{relative}:{number}: {room} may not include {other}")
            elif re.match(r"Q[A-Z]|Qt", target) and not room.startswith("ui/") and room != "app/gui":
                problems.append(f"{relative}:{number}: Qt outside ui/ and app/gui")
            elif target in ("linux/kvm.h", "asm/kvm_para.h") and room != "vmm/kvm":
                if not str(relative).startswith("vmm/control/host_check"):
                    problems.append(f"{relative}:{number}: KVM's header outside vmm/kvm")
print(f"{checked} includes checked, {len(problems)} against the rules")
print("\n".join(problems))
sys.exit(1 if problems or checked < 100 else 0)
