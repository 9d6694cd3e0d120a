#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running machine's settings by clicks and keys: a port that leads into the guest, one that is taken, its cable and its CD."""
import json
import socket
import time

from desktop import Desktop
from live_machine import SHELL
from network import GUEST, card, fetch, free_port, wait_for
from skep_guest import SKEPCTL, TEST_CPU, Console, check, main, need


class Guest:
    """The live Linux in a machine of the window's library, with an address and a web server; also what network.card() asks."""

    def __init__(self, desktop, iso):
        self.desktop = desktop
        self.name = "Changed"
        desktop.sandbox.ctl("create", self.name, "--cpu", TEST_CPU, "--memory", "256M", "--network", "user", "--iso", iso)
        desktop.sandbox.ctl("start", self.name)
        self.console = Console([SKEPCTL, "console", self.name], env=desktop.env, name=self.name)
        self.console.expect(SHELL, 200)
        wait_for("address in info", lambda: card(self)["ip"] == GUEST)
        self.console.run("mkdir -p /www && echo it is the guest > /www/f && httpd -p 8080 -h /www")
        self.console.run("modprobe -a sr_mod isofs; true")

    def json(self, command):
        return json.loads(self.desktop.sandbox.ctl("--json", command, self.name).stdout)

    def says(self, command, wanted):
        wait_for(f"{wanted!r} by {command!r}", lambda: wanted in self.console.run(command).split())


def settings(desktop, page):
    desktop.click("actionSettings")
    desktop.wait_for("settingsDialog")
    desktop.click_item("settingsPages", page)


def save(desktop):
    desktop.click("settingsSave")
    desktop.wait("the settings closed", lambda: desktop.find("settingsDialog") is None, 20)


def port_leads_into_the_guest(desktop, guest):
    port = free_port()
    settings(desktop, "Network")
    desktop.wait_text("networkLive", "change at once", 10)
    desktop.click("field_networks_0__forwards")
    desktop.replace_text(f"{port}:8080")
    desktop.screenshot("settings-1-forward")
    save(desktop)
    wait_for("answer by the forwarded port", lambda: fetch(port) == "it is the guest")
    desktop.stage(f"port {port} leads into the guest")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings(desktop, "Network")
        desktop.click("field_networks_0__forwards")
        desktop.replace_text(f"{port}:8080, {taken}:8080")
        saved = time.monotonic()
        save(desktop)
        desktop.wait_for("errorDialog", 20)
        desktop.stage(f"a taken port is said {time.monotonic() - saved:.2f} s after the click on Save")
        shown = "\n".join(widget["text"] for widget in desktop.widgets())
        check(f"Port {taken} of this host is taken by another program" in shown, f"the window says:\n{desktop.describe()}")
        desktop.screenshot("settings-2-taken")
        desktop.press("Escape")
    wait_for("settings without the taken port", lambda: guest.json("info")["networks[0].forwards"] == f"{port}:8080")
    check(fetch(port) == "it is the guest", "the other port went with it")


def cable_goes_and_comes(desktop, guest):
    for carrier, name in (("0", "pulled out"), ("1", "plugged in")):
        settings(desktop, "Network")
        box = desktop.settled(lambda: desktop.find("field_networks_0__link"), "the cable's box", 20)
        desktop.click_at({**box, "width": box["height"]})   # its square: the rest of the row is nobody's
        save(desktop)
        guest.says("cat /sys/class/net/eth0/carrier", carrier)
        desktop.stage(f"the cable is {name}, which the guest sees")


def cd_goes_and_comes(desktop, guest, iso):
    medium = "dd if=/dev/sr0 of=/dev/null bs=2048 count=1 2>/dev/null && echo medium-there || echo medium-gone"
    guest.says(medium, "medium-there")
    desktop.click("cdButton")
    desktop.click("actionEject_cd0")
    guest.says(medium, "medium-gone")
    desktop.stage("the CD is ejected, which the guest sees")
    settings(desktop, "Disks & CD")
    desktop.click_item("drivesList", "cd0")
    desktop.click("path_cds_0__file")
    desktop.replace_text(iso)
    desktop.screenshot("settings-3-cd")
    save(desktop)
    guest.says(medium, "medium-there")
    desktop.stage("the CD is in its drive again, which the guest sees")


def running_machine_is_changed_by_clicks():
    (iso,) = need("generic.iso")
    with Desktop() as desktop:
        guest = Guest(desktop, iso)
        desktop.run_skep()
        desktop.click_item("vmList", guest.name)
        port_leads_into_the_guest(desktop, guest)
        cable_goes_and_comes(desktop, guest)
        cd_goes_and_comes(desktop, guest, iso)
        desktop.sandbox.ctl("poweroff", guest.name)


main(running_machine_is_changed_by_clicks)
