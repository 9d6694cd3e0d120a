#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with the virtio GPU in the window: it follows the window's size however fast that changes, and what the view shows
is pixel by pixel what the worker says is on the screen."""
import re
import subprocess
import time

from desktop import Desktop
from host_shot import Shot
from skep_guest import SKEPCTL, TEST_CPU, Console, check, main, need
from worker_dump import dump

NAME = "Follower"
RESIZES, RESIZING_SECONDS = 20, 2
COMPARISONS = 25
PATIENCE = 20


def start_guest(desktop):
    kernel, initrd = need("screen.vmlinuz", "screen.initrd")
    desktop.sandbox.ctl("create", NAME, "--cpu", TEST_CPU, "--memory", "256M", "--kernel", kernel, "--initrd", initrd,
                        "--display", "virtio", "--append", "console=ttyS0 quiet")
    desktop.sandbox.ctl("start", NAME)
    console = Console([SKEPCTL, "console", NAME], env=desktop.env, name=NAME)
    console.expect(r"skep# ", 400)
    desktop.run_skep()
    desktop.click_item("vmList", NAME)
    desktop.wait("a picture", lambda: guest_size(desktop), 60)
    return console


def guest_size(desktop):
    match = re.fullmatch(r"(\d+) × (\d+)", desktop.text("screen"))
    return (int(match[1]), int(match[2])) if match else None


def view_size(desktop):
    """As large as a guest that follows can be: multiples of eight wide."""
    view = desktop.find("screen")
    return (view["width"] & ~7, view["height"])


def wait_followed(desktop):
    desktop.wait("the guest to have the view's size", lambda: guest_size(desktop) == view_size(desktop), PATIENCE)


def window_id(desktop):
    return subprocess.run(["xdotool", "search", "--name", f"{NAME} — Skep"], env=desktop.env, capture_output=True, text=True,
                          check=True, timeout=30).stdout.split()[0]


def resize_often(desktop):
    window = window_id(desktop)
    begin = time.monotonic()
    for step in range(1, RESIZES + 1):
        desktop.xdotool("windowsize", window, 700 + step * 37 % 500, 500 + step * 53 % 250)
        time.sleep(max(0, begin + step * RESIZING_SECONDS / RESIZES - time.monotonic()))
    desktop.stage(f"{RESIZES} sizes in {time.monotonic() - begin:.1f} s")


def compare(desktop):
    """The paused machine's screen; the view may still be on its way to it."""
    width, height, picture = dump(desktop.sandbox, NAME)
    view = desktop.find("screen")
    # The picture is in the middle of the view; the odd pixel is on one side or the other.
    left, top = view["x"] + (view["width"] - width) // 2, view["y"] + (view["height"] - height) // 2
    deadline = time.monotonic() + PATIENCE
    while True:
        shot = Shot(desktop)
        if any(shot.rgb(left + x, top + y, width, height) == picture for x in (0, 1) for y in (0, 1)):
            return
        check(time.monotonic() < deadline, f"the view of {width} x {height} does not show what is on the guest's screen")


def sizes_follow_and_the_view_is_exact():
    with Desktop() as desktop:
        console = start_guest(desktop)
        wait_followed(desktop)
        desktop.stage("the guest has the view's size")
        resize_often(desktop)
        wait_followed(desktop)
        check(desktop.find("screenLost") is None, "the view has lost the screen")
        desktop.stage(f"the guest has {guest_size(desktop)}, the last of them")
        console.send("screen boxes 0\n")
        console.expect(r"screen: (\d+) (\d+)\r", 60)
        desktop.wait("no label over the picture", lambda: not desktop.find("screenSize"), PATIENCE)
        for _ in range(COMPARISONS):
            desktop.sandbox.ctl("pause", NAME)
            compare(desktop)
            desktop.sandbox.ctl("resume", NAME)
        desktop.stage(f"{COMPARISONS} comparisons while the guest draws")
        desktop.screenshot("follow")


main(sizes_follow_and_the_view_is_exact)
