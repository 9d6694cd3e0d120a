#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's screen in the window: the Debian graphical installer by clicks alone."""
import re
import time

from desktop import Desktop
from host_shot import Shot
from skep_guest import check, main, need

# In the pixels of the installer's screen of 1280 x 800.
INSTALLER = (1280, 800)
FRENCH = (200, 546)                        # or a neighbour: a mouse without a tablet is not exact
COLUMN = (900, 190, 901, 720)              # through all rows, where the pointer hides none
CONTINUE = (1217, 774)
TITLE = (10, 85, 400, 105)                 # "Select a language"
LIST = (30, 190, 1200, 720)
# Slower than this a guest's mouse driver does not accelerate.
STEP, PAUSE = 2, 0.02
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

    def pixel(self, place):
        return Shot(self.desktop).pixel(*self.to_host()(place))

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
        steps = max(map(abs, way)) // STEP
        walk = []
        for i in range(steps):
            walk += ["mousemove_relative", "--", *(str(far * (i + 1) // steps - far * i // steps) for far in way), "sleep",
                     str(PAUSE)]
        self.desktop.xdotool(*home * 30, "sleep", "0.3")
        for start in range(0, len(walk), 600):   # whole steps: a command line has its limits
            self.desktop.xdotool(*walk[start:start + 600])
        time.sleep(0.5)

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


def graphical_installer_goes_on_by_clicks_alone():
    (iso,) = need("di-gtk.iso")
    with Desktop() as desktop:
        create_from(desktop, iso)
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
        title, marked = screen.area(TITLE), screen.area(COLUMN)
        check(marked.count(WHITE) < len(marked), "no row is marked")
        screen.click(FRENCH)
        desktop.wait("another row marked", lambda: screen.area(COLUMN) != marked, 20)
        row = screen.area(COLUMN)
        check(row.count(WHITE) < len(row), "the click unmarked the row and marked none")
        desktop.stage("a language chosen by the mouse")
        desktop.screenshot("screen-3-french")
        before = screen.area(LIST)
        screen.click(CONTINUE)
        desktop.wait("the next page", lambda: screen.area(TITLE) != title and different(screen.area(LIST), before) > 0.05,
                     120)
        time.sleep(2)
        desktop.stage("the next page, after Continue")
        desktop.screenshot("screen-4-next-page")
        check(desktop.keys == 0, f"{desktop.keys} keys were pressed")


def different(one, other):
    return sum(a != b for a, b in zip(one, other)) / len(one)


main(graphical_installer_goes_on_by_clicks_alone)
