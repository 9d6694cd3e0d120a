# SPDX-License-Identifier: GPL-3.0-or-later
"""A small VNC viewer: the RFB protocol 3.3 to 3.8 (RFC 6143) without security, raw pixels. Only the standard library."""
import select
import socket
import struct
import zlib

RAW, DESKTOP_SIZE = 0, -223
PIXEL_FORMAT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)   # little-endian 0x00RRGGBB


class Viewer:
    def __init__(self, server, timeout=10):
        """`server`: a port of this computer, or the path of a Unix socket."""
        if isinstance(server, int):
            self.socket = socket.create_connection(("127.0.0.1", server), timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(server))
        version = self.read(12)
        self.socket.sendall(version)
        if version >= b"RFB 003.007\n":
            kinds = self.read(self.read(1)[0])
            if 1 not in kinds:
                raise ConnectionError(f"the server wants security {list(kinds)}")
            self.socket.sendall(b"\1")
            if version >= b"RFB 003.008\n":
                self.expect_zero(self.read(4))
        elif self.read(4) != b"\0\0\0\1":
            raise ConnectionError("the server wants a password")
        self.socket.sendall(b"\1")   # shared
        self.width, self.height, _, length = struct.unpack(">HH16sI", self.read(24))
        self.name = self.read(length).decode()
        self.socket.sendall(b"\0\0\0\0" + PIXEL_FORMAT + struct.pack(">BxHii", 2, 2, RAW, DESKTOP_SIZE))
        self.frame = bytearray(self.width * self.height * 4)

    @staticmethod
    def expect_zero(result):
        if result != b"\0\0\0\0":
            raise ConnectionError("the server refuses")

    def read(self, count):
        data = bytearray(count)
        self.read_to(memoryview(data))
        return bytes(data)

    def read_to(self, place):
        while len(place) > 0:
            count = self.socket.recv_into(place)
            if count == 0:
                raise ConnectionError("the server has closed the connection")
            place = place[count:]

    def refresh(self):
        """Asks for the whole screen and takes the answer."""
        self.ask(whole=True)
        self.take_answer()

    def ask(self, whole=False):
        self.socket.sendall(struct.pack(">BBHHHH", 3, 0 if whole else 1, 0, 0, self.width, self.height))

    def answered(self, timeout):
        """Whether something has arrived."""
        return bool(select.select([self.socket], [], [], timeout)[0])

    def take_answer(self):
        """Reads to the end of an update."""
        while True:
            kind = self.read(1)[0]
            if kind == 0:
                (count,) = struct.unpack(">xH", self.read(3))
                for _ in range(count):
                    self.take_rectangle()
                return
            if kind == 3:   # cut text
                self.read(struct.unpack(">3xI", self.read(7))[0])
            elif kind != 2:   # 2 is the bell
                raise ConnectionError(f"message {kind} is not known")

    def take_rectangle(self):
        left, top, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
        if encoding == DESKTOP_SIZE:
            self.width, self.height = width, height
            self.frame = bytearray(width * height * 4)
            return
        if encoding != RAW:
            raise ConnectionError(f"encoding {encoding} was not asked for")
        frame = memoryview(self.frame)
        if width == self.width:
            self.read_to(frame[top * width * 4:(top + height) * width * 4])
            return
        data = memoryview(self.read(width * height * 4))
        for row in range(height):
            start = ((top + row) * self.width + left) * 4
            frame[start:start + width * 4] = data[row * width * 4:(row + 1) * width * 4]

    def rgb(self):
        """The picture as three bytes a pixel."""
        pixels = bytearray(self.width * self.height * 3)
        pixels[0::3], pixels[1::3], pixels[2::3] = self.frame[2::4], self.frame[1::4], self.frame[0::4]
        return bytes(pixels)

    def colours(self):
        """How many different ones are on the screen."""
        return len(set(struct.unpack(f"<{self.width * self.height}I", self.frame)))

    def click(self, x, y):
        for buttons in (0, 1, 0):
            self.socket.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def save_png(self, path):
        """RFC 2083, one filterless chunk."""
        rows, rgb = bytearray(), self.rgb()
        for row in range(self.height):
            rows += b"\0" + rgb[row * self.width * 3:(row + 1) * self.width * 3]
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
