# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker itself says is on a guest's screen: `skepctl screenshot`, read back."""
import struct
import zlib

from skep_guest import check


def rgb_of_png(data):
    """(width, height, three bytes a pixel) of a PNG picture as `skepctl screenshot` writes them: RGB without filters."""
    at, packed, size = 8, b"", (0, 0)
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if name == b"IHDR":
            size = struct.unpack(">II", body[:8])
            check(body[8:] == b"\x08\x02\0\0\0", "not a picture of skepctl's")
        elif name == b"IDAT":
            packed += body
        at += length + 12
    rows, stride = zlib.decompress(packed), size[0] * 3 + 1
    check(not any(rows[::stride]), "the rows are filtered")
    return *size, b"".join(rows[row * stride + 1:(row + 1) * stride] for row in range(size[1]))


def dump(sandbox, machine):
    path = sandbox.path / "dump.png"
    sandbox.ctl("screenshot", machine, path)
    return rgb_of_png(path.read_bytes())
