#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that draws all the time, and a viewer that follows it by changes alone: whenever the machine is held, the viewer
comes to have exactly what the worker says is on the screen. No stale rectangle, and with the virtio GPU no torn picture."""
import random
import time

from rfb import Viewer
from skep_guest import Sandbox, check, main, need, run_guest
from worker_dump import dump

COMPARISONS = 50    # of whole pictures, and as many of small changes
PATIENCE = 20       # seconds until a viewer must have a change


class Drawer:
    def __init__(self, display):
        kernel, initrd = need("screen.vmlinuz", "screen.initrd")
        self.sandbox = Sandbox()
        self.machine = self.sandbox.path / "machine.sock"
        self.guest = run_guest("--memory", "256M", "--display", display, "--socket", self.machine, "--kernel", kernel,
                               "--initrd", initrd, "--append", "console=ttyS0 quiet", env=self.sandbox.env, name=display)
        self.guest.expect(r"skep# ", 400)

    def ctl(self, command, *arguments):
        return self.sandbox.ctl(command, self.machine, *arguments)

    def viewer(self):
        return Viewer(f"{self.machine}.vnc", timeout=PATIENCE)

    def draw(self, what):
        self.guest.send(f"screen {what} 0\n")
        self.guest.expect(r"screen: (\d+) (\d+)\r", 60)

    def stop_drawing(self):
        self.guest.send("\n")
        self.guest.expect(r"screen: (\d+) in ([0-9.]+)\r", 60)

    def end(self):
        self.ctl("poweroff")
        check(self.guest.wait(60) == 1, "power-off must exit with 1")


def follow(viewer, seconds, look):
    """Takes changes for a while; looks at each picture."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        viewer.ask()
        viewer.take_answer()
        look(viewer)


def catch_up(viewer, picture):
    """Takes changes until the viewer has the picture; it must come to that."""
    deadline = time.monotonic() + PATIENCE
    viewer.ask()
    while (viewer.width, viewer.height, viewer.rgb()) != picture:
        if viewer.answered(deadline - time.monotonic()):
            viewer.take_answer()
            viewer.ask()
        else:
            mine, other = viewer.rgb(), picture[2]
            wrong = [at // 3 for at in range(0, len(other), 3) if mine[at:at + 3] != other[at:at + 3]]
            check(False, f"{len(wrong)} pixels are stale, the first at {wrong[0] % picture[0]},{wrong[0] // picture[0]}")


def is_one_frame(viewer):
    """The red of all pixels is the frame's number."""
    red = viewer.frame[2::4]
    check(red == red[:1] * len(red), f"a torn picture: of the frames {sorted(set(red))}")


def compare(display):
    drawer = Drawer(display)
    chance = random.Random(1)
    for what in ("frames", "boxes"):
        drawer.draw(what)
        viewer = drawer.viewer()
        viewer.refresh()
        look = is_one_frame if display == "virtio" and what == "frames" else lambda _: None
        for _ in range(COMPARISONS):
            follow(viewer, chance.uniform(0, 0.1), look)
            drawer.ctl("pause")
            catch_up(viewer, dump(drawer.sandbox, drawer.machine))
            drawer.ctl("resume")
        viewer.socket.close()
        drawer.stop_drawing()
        print(f"{COMPARISONS} comparisons while the guest draws {what}", flush=True)
    drawer.end()


def vga_is_never_stale():
    compare("vga")


def virtio_is_never_stale_or_torn():
    compare("virtio")


def console_follows_sizes_and_stays_as_large_as_it_began():
    drawer = Drawer("virtio")
    viewer = drawer.viewer()
    # Linux' console cannot grow beyond the size that it began with.
    for wish, size in (((800, 600), (800, 600)), ((1600, 1200), (1280, 800)), ((1000, 700), (1000, 700)),
                       ((1280, 800), (1280, 800))):
        drawer.ctl("resize", f"{wish[0]}x{wish[1]}")
        deadline = time.monotonic() + PATIENCE
        while (viewer.width, viewer.height) != size:
            check(time.monotonic() < deadline, f"the screen of {viewer.width} x {viewer.height} is not {size} for {wish}")
            viewer.refresh()
            time.sleep(0.05)
    drawer.end()


main(vga_is_never_stale, virtio_is_never_stale_or_torn, console_follows_sizes_and_stays_as_large_as_it_began)
