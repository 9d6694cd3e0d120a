#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's life in the library by skepctl alone: made, started, attached to, held, stopped by its power button, deleted."""
import json
import time

from live_machine import LiveMachine
from skep_guest import TEST_CPU, Sandbox, check, main, need


def whole_life_from_an_iso():
    (iso,) = need("live.iso")
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "Small", "--disk", "64M", iso=iso)
    try:
        check(machine.json("info")["state"] == "stopped", "a new machine is stopped")
        console = machine.start()
        info = machine.json("info")
        check(info["state"] == "running" and info["status"]["cpu_backend"] == TEST_CPU, f"info says {info}")
        check(info["worker"]["disks"][0]["size"] == 64 << 20, f"info says {info['worker']}")
        console.run("echo a line to be found again")
        held_still_and_let_go(machine, console)
        console.kill()
        history_comes_back(machine)
        machine.ctl("stop", "--wait", "60")
        machine.wait_for_end("stopped by its power button", 1)
        check("state: running" in machine.ctl("log").stdout, "the log does not tell of the run")
        again = machine.start()
        machine.ctl("poweroff")
        check(again.wait(30) == 0, "the console must end with the machine")
        folder = machine.folder()
        files = machine.json("delete", "--list")["files"]
        check(any(file["path"].endswith(".img") for file in files), f"delete --list shows {files}")
        check(folder.exists(), "delete --list has deleted")
        machine.ctl("delete", "--permanently")
        check(not folder.exists() and json.loads(sandbox.ctl("--json", "list").stdout) == [], "something is left")
        check(iso.exists(), "the ISO went with the machine")
    finally:
        machine.clean_up()


def held_still_and_let_go(machine, console):
    machine.ctl("pause")
    check(machine.state() == "paused", "not paused")
    seen = len(console.seen)
    console.send("echo $((6 * 7)) is the answer\n")
    time.sleep(0.5)
    while console.read(0):
        pass
    check("42 is the answer" not in console.seen[seen:], "a paused machine answers")
    uptime = machine.json("info")["status"]["uptime_ms"]
    check(machine.json("info")["status"]["uptime_ms"] == uptime, "guest time passes in a paused machine")
    machine.ctl("resume")
    console.expect("42 is the answer", 30)


def history_comes_back(machine):
    machine.ctl("pause")
    console = machine.console()
    console.expect("Welcome to the small Linux", 30)  # not by the guest
    console.expect("a line to be found again", 30)
    machine.ctl("resume")
    check("42" in console.run("echo $((6 * 7))"), "the shell does not answer after re-attaching")
    console.kill()
    check("a line to be found again" in machine.ctl("console", "--history").stdout, "console --history")


def two_machines_run_side_by_side():
    sandbox = Sandbox()
    machines = [LiveMachine(sandbox, name) for name in ("left", "right")]
    try:
        left, right = machines
        consoles = [machine.start() for machine in machines]
        for console, name in zip(consoles, ("left", "right")):
            console.run(f"hostname {name}")
        check([one["state"] for one in json.loads(sandbox.ctl("--json", "list").stdout)] == ["running"] * 2, "list")
        left.power_off(consoles[0])
        check(right.state() == "running", "the other machine ended too")
        check("right" in consoles[1].run("hostname"), "the other machine does not answer")
        right.power_off(consoles[1])
    finally:
        for machine in machines:
            machine.clean_up()


main(whole_life_from_an_iso, two_machines_run_side_by_side)
