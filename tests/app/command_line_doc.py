#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""command_line_doc.py SKEPCTL DOCUMENT: every command has a section there, and every option of its --help is in it."""
import re
import subprocess
import sys

skepctl, document = sys.argv[1:]


def help_of(*command):
    done = subprocess.run([skepctl, *command, "--help"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stderr == "", (command, done)
    return done.stdout


with open(document, encoding="utf-8") as opened:
    text = opened.read()
commands = re.findall(r"^  ([a-z-]+) ", help_of().split("Subcommands:")[1], re.MULTILINE)
assert len(commands) > 15, commands
sections = dict(re.findall(r"^### ([a-z-]+)[^\n]*\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
problems = [f"no section for '{command}'" for command in commands if command not in sections]
problems += [f"a section for '{command}', which is no command" for command in sections if command not in commands]
create_options = sections["create"]
for command in commands:
    known = sections.get(command, "") + (create_options if command == "run" else "")
    for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", help_of(command), re.MULTILINE):
        if option != "--help" and f"`{option}" not in known:
            problems.append(f"'{command} {option}' is not described")
sys.exit("\n".join(problems) or 0)
