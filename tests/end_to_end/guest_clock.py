#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest makes of its processor's clock and immunities: Linux trusts the TSC or kvmclock, keeps the host's time under
load and over a pause, and finds no mitigation worth its price."""
import re
import time

from live_machine import LiveMachine
from skep_guest import Sandbox, check, main

# Of what Linux does on any processor that is not in its list of the very simple: what costs next to nothing here.
CHEAP = ("Not affected", "Mitigation: usercopy/swapgs barriers and __user pointer sanitization",
         "Mitigation: Enhanced / Automatic IBRS")
DRIFT = 0.05  # seconds
LOAD = 20


def guest_ahead(console):
    """Guest's wall clock less the host's: of several questions the one answered fastest, and its uncertainty."""
    best = (0.0, 1e9)
    for _ in range(40):
        console.position = len(console.seen)
        asked = time.time()
        console.send("adjtimex | grep time.tv\n")
        found = console.expect(r"tv_sec: +(\d+).*?tv_usec: +(\d+)\r?\n", 30)
        guest = int(found.group(1)) + int(found.group(2)) / 1e6
        answered = time.time()
        if answered - asked < best[1]:
            best = (guest - (asked + answered) / 2, answered - asked)
        if best[1] < 0.02:
            break
    return best


def same(name, before, after):
    room = DRIFT + (before[1] + after[1]) / 2
    print(f"{name}: the guest is {after[0]:+.4f} s ahead after {before[0]:+.4f} s, known to {after[1]:.4f} s", flush=True)
    check(abs(after[0] - before[0]) < room, f"{name}: guest time drifted by {after[0] - before[0]:.3f} s")


def keeps_time(cpus):
    machine = LiveMachine(Sandbox(), f"Clock{cpus}", "--cpus", str(cpus))
    try:
        console = machine.start()
        source = console.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource").split()[-1]
        check(source in ("tsc", "kvm-clock"), f"the guest's clock is {source}")
        begin = guest_ahead(console)
        console.run(f"for i in 1 2; do timeout {LOAD} sh -c 'while :; do :; done' & done; wait", LOAD + 60)
        loaded = guest_ahead(console)
        same(f"{cpus} vCPU, load", begin, loaded)
        machine.ctl("pause")
        time.sleep(10)
        machine.ctl("resume")
        same(f"{cpus} vCPU, pause of 10 s", loaded, guest_ahead(console))
        kernel = console.run("dmesg")
        for complaint in (r"unstable", r"timekeeping watchdog", r"soft lockup", r"rcu.*stall", r"TSC.*warp", r"hung"):
            check(not re.search(complaint, kernel), f"the kernel complains: {complaint}\n{kernel[-3000:]}")
        check("kvm-clock: Using msrs" in kernel, "kvmclock was not seen")
        machine.power_off(console)
    finally:
        machine.clean_up()


def one_cpu_keeps_time():
    keeps_time(1)


def two_cpus_keep_time():
    keeps_time(2)


def immunities_are_believed():
    machine = LiveMachine(Sandbox(), "Immune")
    try:
        console = machine.start()
        told = console.run("grep . /sys/devices/system/cpu/vulnerabilities/*")
        found = re.findall(r"vulnerabilities/(\w+):([^\r\n]*)", told)
        check(len(found) > 8, f"the guest says nothing of vulnerabilities: {told}")
        for name, state in found:
            check(state.startswith(CHEAP), f"{name}: {state}")
        flags = console.run("grep -m1 ^flags /proc/cpuinfo").split()
        for flag in ("constant_tsc", "nonstop_tsc", "tsc_deadline_timer", "x2apic", "erms", "fsrm", "arch_capabilities", "hypervisor"):
            check(flag in flags, f"{flag} is not among the guest's features")
        for flag in ("pti", "retpoline", "clear_bhb_loop"):
            check(flag not in flags, f"the guest's kernel does {flag}")
        check("x2apic enabled" in console.run("dmesg | grep -i x2apic"), "x2APIC is not used")
        machine.power_off(console)
    finally:
        machine.clean_up()


main(immunities_are_believed, one_cpu_keeps_time, two_cpus_keep_time)
