#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Licence line first, no promises of later work, files of bearable length, no unmarked assert on guest data."""
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
LONGEST = 700  # lines; a longer file is split by subject
problems = []
count = 0
for tree in ("vmm", "devices", "display", "ui", "app", "tests", "bench"):
    for path in sorted((top / tree).rglob("*")):
        if path.suffix not in (".hpp", ".cpp", ".def"):
            continue
        count += 1
        relative = path.relative_to(top)
        lines = path.read_text().splitlines()
        if not lines or "SPDX-License-Identifier: GPL-3.0-or-later" not in lines[0]:
            problems.append(f"{relative}: the first line must be the SPDX licence line")
        if len(lines) > LONGEST:
            problems.append(f"{relative}: {len(lines)} lines; split it by subject")
        for number, line in enumerate(lines, 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                problems.append(f"{relative}:{number}: a promise of later work")
            if tree in ("vmm", "devices") and re.search(r"(?<!static_)\bassert\(", line) and "host-invariant" not in line:
                problems.append(f"{relative}:{number}: assert without '// host-invariant'")
print(f"{count} files checked, {len(problems)} against the rules")
print("\n".join(problems))
sys.exit(1 if problems or count < 50 else 0)
