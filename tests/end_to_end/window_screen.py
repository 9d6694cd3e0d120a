#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's screen in the window: the Debian graphical installer by clicks alone, with each pointer that a
machine may have."""
import re
import time

from desktop import Desktop
from host_shot import Shot
from skep_guest import check, main, need

# In the pixels of the installer's screen of 1280 x 800.
INSTALLER = (1280, 800)
FRENCH = (200, 546)
FRENCH_ROW = range(534, 561)
COLUMN = (900, range(190, 720, 3))         # through all rows, where the pointer hides none
CONTINUE = (1217, 774)
TITLE = (10, 85, 400, 105)                 # "Select a language"
LIST = (30, 190, 1200, 720)
# Slower than this a guest's mouse driver does not accelerate.
STEP, PAUSE = 2, 0.02
CORRECTIONS = 8
WHITE = b"\xff\xff\xff"


class GuestScreen:
    """The screen in the window, with places in guest pixels."""

    def __init__(self, desktop):
        self.desktop = desktop
        self.grabbed = False   # the guest has only a mouse, and the host's pointer

    def size(self):
        match = re.fullmatch(r"(\d+) × (\d+)", self.desktop.text("screen"))
        return (int(match[1]), int(match[2])) if match else None

    def wait_size(self, size, timeout):
        self.desktop.wait(f"screen of {size}", lambda: self.size() == size, timeout)

    def to_host(self):
        """Maps guest pixels to the host's: the view shows a picture as it is, in its middle, or shrunk to fit."""
        view = self.desktop.wait_for("screen")
        width, height = self.desktop.wait("a picture", self.size, 10)
        scale = min(1, view["width"] / width, view["height"] / height)
        left = view["x"] + (view["width"] - width * scale) / 2
        top = view["y"] + (view["height"] - height * scale) / 2
        return lambda place: (int(left + place[0] * scale), int(top + place[1] * scale))

    def area(self, box):
        """The colours of a grid of places."""
        shot, to_host = Shot(self.desktop), self.to_host()
        return [shot.pixel(*to_host((x, y))) for x in range(box[0], box[2], 7) for y in range(box[1], box[3], 5)]

    def marked(self):
        """Which places of the column are not white as the list is."""
        shot, to_host = Shot(self.desktop), self.to_host()
        return [y for y in COLUMN[1] if shot.pixel(*to_host((COLUMN[0], y))) != WHITE]

    def point(self, place):
        if not self.grabbed:
            view = self.desktop.find("screen")
            for offset in (0, 3):   # a pointer that moves over the view is told how to go into it
                self.desktop.xdotool("mousemove", view["x"] + view["width"] // 2 + offset, view["y"] + view["height"] // 2)
            time.sleep(0.5)
        if "Click to give the guest" in self.hint():
            self.desktop.click("screen")   # hands the pointer over
            self.desktop.wait("the pointer to be the guest's", lambda: "Keyboard and pointer are" in self.hint(), 10)
            self.grabbed = True
        if self.grabbed:
            self.walk(place)
        else:
            self.desktop.xdotool("mousemove", *self.to_host()(place))

    def walk(self, place):
        """From the nearest corner in small steps: where the pointer is, only the guest knows, and how fast it is."""
        corner = [size - 1 if at > size / 2 else 0 for at, size in zip(place, self.size())]
        way = [at - start for at, start in zip(place, corner)]
        home = ["mousemove_relative", "--", *(str(100 if start else -100) for start in corner), "sleep", "0.03"]
        self.desktop.xdotool(*home * 30, "sleep", "0.3")
        self.push(way, PAUSE)

    def push(self, way, pause):
        steps = max(*map(abs, way), STEP) // STEP
        walk = []
        for i in range(steps):
            walk += ["mousemove_relative", "--", *(str(far * (i + 1) // steps - far * i // steps) for far in way), "sleep",
                     str(pause)]
        for start in range(0, len(walk), 600):   # whole steps: a command line has its limits
            self.desktop.xdotool(*walk[start:start + 600])
        time.sleep(0.5)

    def correct(self, y):
        """As a hand does that an eye leads: the guest may have made more or less of the way to the row at `y`."""
        for _ in range(CORRECTIONS):
            row = self.marked()
            if y in range(row[0], row[-1] + 1):
                return
            self.push((0, y - (row[0] + row[-1]) // 2), 4 * PAUSE)
            self.desktop.xdotool("click", 1)
            time.sleep(1.5)

    def hint(self):
        return self.desktop.text("screenHint")

    def click(self, place):
        self.point(place)
        self.desktop.xdotool("click", 1)
        self.desktop.clicks += 1


def offer(desktop, medium):
    path = desktop.home / "Downloads" / medium.name
    path.symlink_to(medium)
    return path


def create_from(desktop, medium):
    offer(desktop, medium)
    desktop.run_skep()
    desktop.click("welcomeNew")
    desktop.click_item("mediaList", medium.name)
    desktop.wait_text("recognised", "Debian 12", 20)
    desktop.click("createAndStart")
    desktop.wait_text("vmState", "Running", 30)
    desktop.stage("machine runs")


def start_without_virtio_input(desktop, usb):
    """The kernel of the same installer, which is not to find the virtio tablet."""
    kernel, initrd = need("di-gtk.vmlinuz", "di-gtk.initrd")
    desktop.sandbox.ctl("create", "Debian", "--kernel", kernel, "--initrd", initrd, "--display", "vga", "--memory", "1G",
                        "--append", "module_blacklist=virtio_input --- quiet")
    desktop.sandbox.ctl("set", "Debian", f"usb.controller={usb}")
    desktop.run_skep()
    desktop.click_item("vmList", "Debian")
    desktop.click("actionStart")
    desktop.wait_text("vmState", "Running", 30)
    desktop.stage("machine runs")


def install(desktop, grabs):
    screen = GuestScreen(desktop)
    desktop.wait("a picture", screen.size, 60)
    desktop.stage("a picture")
    desktop.screenshot("screen-1-firmware")
    screen.wait_size(INSTALLER, 420)
    desktop.stage("the installer's resolution")
    # The list of languages is white, the marked one is not.
    desktop.wait("the language page", lambda: screen.area(LIST).count(WHITE) > 2000, 420)
    time.sleep(2)
    desktop.stage("the language page")
    desktop.screenshot("screen-2-languages")
    title, first = screen.area(TITLE), screen.marked()
    check(first and not set(first) & set(FRENCH_ROW), f"marked at first: {first}")
    screen.click(FRENCH)
    check(screen.grabbed == grabs, f"the pointer is {'' if screen.grabbed else 'not '}the guest's")
    desktop.wait("another row marked", lambda: screen.marked() != first, 20)
    if grabs:
        screen.correct(FRENCH[1])
    row = screen.marked()
    check(FRENCH[1] in range(row[0], row[-1] + 1) and set(row) <= set(FRENCH_ROW), f"marked by the click: {row}")
    desktop.stage("a language chosen by the pointer, exactly the wanted one")
    desktop.screenshot("screen-3-french")
    before = screen.area(LIST)
    screen.click(CONTINUE)
    desktop.wait("the next page", lambda: screen.area(TITLE) != title and different(screen.area(LIST), before) > 0.05, 120)
    time.sleep(2)
    desktop.stage("the next page, after Continue")
    desktop.screenshot("screen-4-next-page")
    check(desktop.keys == 0, f"{desktop.keys} keys were pressed")


def by_clicks_alone():
    """From the CD, as the window makes the machine."""
    (iso,) = need("di-gtk.iso")
    with Desktop() as desktop:
        create_from(desktop, iso)
        install(desktop, grabs=False)


def by_the_usb_tablet():
    with Desktop() as desktop:
        start_without_virtio_input(desktop, "xhci")
        install(desktop, grabs=False)


def by_a_ps2_mouse():
    with Desktop() as desktop:
        start_without_virtio_input(desktop, "none")
        install(desktop, grabs=True)


def different(one, other):
    return sum(a != b for a, b in zip(one, other)) / len(one)


main(by_clicks_alone, by_the_usb_tablet, by_a_ps2_mouse)
