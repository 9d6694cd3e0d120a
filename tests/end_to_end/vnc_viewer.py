#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packaged VNC viewer (vncsnapshot) on a machine's TCP port: it is let in by the password of this start and by no other, and
sees what the worker says is on the screen. The port is this computer's alone."""
import ctypes
import json
import re
import shutil
import subprocess

from ports import free_display, listening_addresses
from skep_guest import Sandbox, check, main, need, skip
from worker_dump import dump

LOOPBACK = "0100007F"   # as the kernel shows it
FIRST_PORT = 5900       # of VNC: display 0


def password_file(sandbox, password):
    """As VNC viewers keep passwords."""
    path = sandbox.path / "passwd"
    try:
        library = ctypes.CDLL("libvncserver.so.1")
    except OSError as error:
        skip(f"{error}: run scripts/setup")
    check(library.rfbEncryptAndStorePasswd(password.encode(), str(path).encode()) == 0, "the password could not be written")
    return path


def snapshot(sandbox, port, password):
    """(exit code, what the viewer said); its picture is snapshot.jpg."""
    done = subprocess.run(["vncsnapshot", "-passwd", str(password_file(sandbox, password)), "-encodings", "hextile",
                           f"127.0.0.1:{port - FIRST_PORT}", str(sandbox.path / "snapshot.jpg")],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def viewer_with_the_password_sees_the_screen():
    for tool in ("vncsnapshot", "convert"):
        if shutil.which(tool) is None:
            skip(f"the program {tool} is missing: run scripts/setup test")
    (iso,) = need("grub.iso")
    sandbox = Sandbox()
    port = free_display()
    sandbox.ctl("create", "Seen", "--iso", iso, "--cpu", "interp", "--memory", "64M", "--display", "vga", "--vnc", port)
    sandbox.ctl("start", "Seen")
    try:
        sandbox.ctl("wait-screen", "Seen", "--text", "GRUB", "--timeout", "120")
        check(listening_addresses(port) == [LOOPBACK], f"the port listens on {listening_addresses(port)}")
        said = re.search(r"VNC viewers +127\.0\.0\.1:(\d+), password (\w{8})\n", sandbox.ctl("info", "Seen").stdout)
        check(said and int(said[1]) == port, "info does not tell how to look")
        worker = json.loads(sandbox.ctl("--json", "info", "Seen").stdout)["worker"]
        check(worker["vnc_password"] == said[2], "info tells two passwords")
        code, output = snapshot(sandbox, port, "letmein1")
        check(code != 0, f"a wrong password was good enough: {output}")
        sandbox.ctl("pause", "Seen")
        code, output = snapshot(sandbox, port, said[2])
        check(code == 0, f"the viewer was not let in: {output}")
        width, height, picture = dump(sandbox, "Seen")
        seen = subprocess.run(["convert", str(sandbox.path / "snapshot.jpg"), "-depth", "8", "rgb:-"], capture_output=True,
                              check=True, timeout=60).stdout
        check(len(seen) == len(picture), f"the viewer saw another size than {width} x {height}")
        wrong = sum(abs(a - b) for a, b in zip(seen, picture)) / len(picture)
        check(wrong < 2, f"the viewer saw another picture: {wrong:.1f} of 255 apart")   # JPEG is not exact
    finally:
        sandbox.ctl("poweroff", "Seen", check=False)


main(viewer_with_the_password_sees_the_screen)
