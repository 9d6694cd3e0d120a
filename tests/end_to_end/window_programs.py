#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that have the whole machine, by keyboard in the window: GRUB, Memtest86+ and a game; and the firmware's own screens."""
import time

from desktop import Desktop
from host_shot import Shot
from skep_guest import TEST_CPU, check, main, need

NAME = "Program"
PRESSES = 60


class Program:
    """A machine whose screen the window shows and has the keyboard of."""

    def __init__(self, desktop, *options):
        self.desktop = desktop
        desktop.sandbox.ctl("create", NAME, "--cpu", TEST_CPU, "--memory", "128M", "--display", "vga", *options)
        desktop.run_skep()
        desktop.click_item("vmList", NAME)
        desktop.click("actionStart")
        desktop.wait_text("vmState", "Running", 60)
        desktop.wait("a picture", lambda: "×" in desktop.text("screen"), 60)
        desktop.wait("keyboard in the screen", lambda: desktop.find("screen")["focus"], 20)
        desktop.stage("machine runs")

    def text(self):
        """Nothing while the screen shows no characters."""
        return self.desktop.sandbox.ctl("screendump", "--text", NAME, check=False).stdout

    def wait_text(self, *parts, timeout=60):
        self.desktop.wait(f"{parts} on the screen", lambda: all(part in self.text() for part in parts), timeout)

    def enter(self, line):
        """By finger: firmware keeps few keys."""
        for key in line:
            self.desktop.type(key)
            time.sleep(0.06)
        self.desktop.press("Return")


def grub_obeys_the_keyboard():
    (iso,) = need("grub.iso")
    with Desktop() as desktop:
        program = Program(desktop, "--iso", iso)
        program.wait_text("GNU GRUB", "*GNU/Linux")
        desktop.stage("GRUB's menu")
        desktop.press("Down")
        program.wait_text("*GNU (aka GNU/Hurd)")
        check("*GNU/Linux" not in program.text(), "two entries are marked")
        desktop.screenshot("programs-grub-menu")
        desktop.press("c")
        program.wait_text("grub>")
        program.enter("echo six times seven")
        program.wait_text("\nsix times seven")
        desktop.screenshot("programs-grub")


def memtest_obeys_the_keyboard():
    (iso,) = need("memtest.iso")
    with Desktop() as desktop:
        program = Program(desktop, "--iso", iso)
        program.wait_text("Memtest86+", "Pass")
        desktop.stage("Memtest86+ tests")
        desktop.screenshot("programs-memtest")
        desktop.press("F1")
        program.wait_text("Settings", "Test selection")
        desktop.stage("its menu")
        desktop.screenshot("programs-memtest-menu")
        desktop.press("F10")
        desktop.wait("the menu closed", lambda: "Test selection" not in program.text(), 20)


def invaders_plays():
    grub, invaders = need("grub.iso", "invaders.iso")
    with Desktop() as desktop:
        program = Program(desktop, "--iso", grub, "--disk", invaders, "--disk-bus", "ahci")
        program.wait_text("GNU GRUB", "*GNU/Linux")
        desktop.press("c")
        program.wait_text("grub>")
        program.enter("multiboot (hd0)/invaders.exec")
        program.enter("boot")
        desktop.wait("the game", lambda: "grub>" not in program.text() and len(program.text().strip()) > 20, 60)
        desktop.stage("the game")
        desktop.press("s")
        start = desktop.wait("the cannon", lambda: cannon(program.text()), 20)
        play(program, "Left", lambda text: cannon(text) and cannon(text) < start)
        desktop.screenshot("programs-invaders-1")
        left = desktop.wait("the cannon", lambda: cannon(program.text()), 20)
        play(program, "Right", lambda text: cannon(text) > left)
        play(program, "space", lambda text: " | " in text.replace("\n", "  \n"))
        desktop.stage("the cannon goes left and right, and shoots")
        desktop.screenshot("programs-invaders-2")


def cannon(text):
    """Its column; 0 while there is none."""
    return next((line.index("/ \\") for line in text.split("\n") if "/ \\" in line), 0)


def play(program, key, done):
    """The game looks at the keyboard when it likes to."""
    for _ in range(PRESSES):
        program.desktop.press(key)
        if done(program.text()):
            return
    check(False, f"{key} does nothing:\n{program.text()}")


def firmware_shows_itself():
    with Desktop() as desktop:
        program = Program(desktop)
        program.wait_text("SeaBIOS", "No bootable device")
        desktop.screenshot("programs-seabios")


def uefi_shows_itself():
    with Desktop() as desktop:
        Program(desktop, "--firmware", "uefi")
        view = desktop.find("screen")

        def drawn():
            """OVMF's own writing, white in its graphics mode."""
            shot = Shot(desktop)
            row = range(view["x"], view["x"] + view["width"])
            return sum(min(shot.pixel(x, view["y"] + y)) > 128 for x in row for y in range(40, view["height"] - 60, 3)) > 200
        desktop.wait("OVMF's writing", lambda: "1280 × 800" in desktop.text("screen") and drawn(), 120)
        desktop.screenshot("programs-ovmf")


main(grub_obeys_the_keyboard, memtest_obeys_the_keyboard, invaders_plays, firmware_shows_itself, uefi_shows_itself)
