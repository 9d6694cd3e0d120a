# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the host's screen (desktop.py's), as pixels."""
import re
import subprocess


class Shot:
    def __init__(self, desktop):
        data = subprocess.run(["import", "-window", "root", "-silent", "ppm:-"], env=desktop.env, capture_output=True,
                              check=True, timeout=60).stdout
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
        self.width = int(head[1])
        samples = data[head.end():]
        self.pixels = samples if int(head[3]) < 256 else samples[::2]   # the upper bytes of 16 bits

    def pixel(self, x, y):
        at = (y * self.width + x) * 3
        return self.pixels[at:at + 3]

    def rgb(self, left, top, width, height):
        rows = range(top * self.width, (top + height) * self.width, self.width)
        return b"".join(self.pixels[(row + left) * 3:(row + left + width) * 3] for row in rows)
