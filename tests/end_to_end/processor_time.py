# SPDX-License-Identifier: GPL-3.0-or-later
"""What processes have used of the host's processors."""
import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    """By user and system since it began; an OSError when it has ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
