#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a display the window is served over VNC, on this computer's own address only: what scripts/run starts there."""
import json
import subprocess
import time

from ports import free_port, listening_addresses
from rfb import Viewer
from skep_guest import BUILD, OUTPUT, Sandbox, check, main


def wait(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, ValueError, ConnectionError):
            value = None
        if value:
            return value
        check(time.monotonic() < deadline, f"no {what} within {seconds} s")
        time.sleep(0.1)


def widget(dump, name):
    found = [w for w in json.loads(dump.read_text())["widgets"] if w["name"] == name]
    return found[0] if found else None


def window_is_served_on_the_loopback_address_and_takes_clicks():
    sandbox = Sandbox()
    home = sandbox.path / "home"
    home.mkdir()
    dump = sandbox.path / "window.json"
    port = free_port()
    env = {**sandbox.env, "HOME": str(home), "SKEP_UI_DUMP": str(dump), "LANG": "C.UTF-8"}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        env.pop(name, None)
    skep = subprocess.Popen([str(BUILD / "bin" / "skep"), "-platform", f"vnc:size=1280x800:port={port}"], env=env,
                            stderr=subprocess.DEVNULL)
    try:
        viewer = wait("VNC server", lambda: Viewer(port))
        addresses = listening_addresses(port)
        check(addresses and all(a in ("0100007F", "0000000000000000FFFF00000100007F") for a in addresses),
              f"the port is open to others: {addresses}")
        check((viewer.width, viewer.height) == (1280, 800), f"the screen is {viewer.width} x {viewer.height}")
        button = wait("the New button", lambda: widget(dump, "newButton"))

        def drawn():
            viewer.refresh()
            return viewer.colours() > 50   # a blank screen has one, a window with text and an icon hundreds
        wait("picture", drawn)
        viewer.save_png(OUTPUT / "vnc-1-window.png")
        viewer.click(button["x"] + button["width"] // 2, button["y"] + button["height"] // 2)
        wait("the New sheet after a click", lambda: widget(dump, "newSheet"))
        time.sleep(1)
        viewer.refresh()
        viewer.save_png(OUTPUT / "vnc-2-new-sheet.png")
    finally:
        skep.kill()
        skep.wait()


main(window_is_served_on_the_loopback_address_and_takes_clicks)
