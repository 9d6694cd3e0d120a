#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of it as an ordinary user without a capability (run by as_ordinary_user): a machine from an ISO with a disk and the network,
a download, a port that leads into it, and whose its processes are."""
import json
import os
import pathlib

from live_machine import LiveMachine, digest
from network import GUEST, HOST, Files, card, fetch, free_port, wait_for
from skep_guest import Sandbox, check, main, need, skip

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descendants(pid):
    children = [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return children + [each for child in children for each in descendants(child)]


def network_processes(machine):
    """They are in nobody's care, but have the machine's environment; what they have started cannot be looked into."""
    mark = str(machine.sandbox.path).encode()
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "skep-net" and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass  # it has ended, or is somebody else's
    return sorted({each for pid in found for each in [pid, *descendants(pid)]})


def has_no_right(pid):
    """Fails unless the process is ours and has no capability; returns its name."""
    status = status_of(pid)
    check(set(status["Uid"].split()) == {str(os.getuid())}, f"{status['Name']} runs as {status['Uid']}")
    for name in CAPABILITIES:
        check(int(status[name], 16) == 0, f"{status['Name']} has {name} {status[name]}")
    return status["Name"]


def processes_have_no_rights(machine):
    names = [has_no_right(pid) for pid in [machine.pid, *descendants(machine.pid), *network_processes(machine)]]
    print("without rights:", names, flush=True)
    check(names[0] == "skep-vmm" and names.count("skep-net") == 2, f"a machine with one card runs {names}")


def guest_uses_the_network(sandbox, machine, console):
    wait_for("address in info", lambda: card(machine)["ip"] == GUEST)
    files = Files([1 << 20])
    check(files.sum(0) in console.run(f"wget -q -O - {files.url}/0 | sha256sum"), "the download is not what was sent")
    check(" 0% packet loss" in console.run(f"ping -c 2 -W 5 {HOST}"), "the host does not answer a ping")
    console.run("mkdir -p /www && echo it is the guest > /www/f && httpd -p 8080 -h /www")
    port = free_port()
    sandbox.ctl("net", "forward-add", machine.name, f"{port}:8080")
    wait_for("answer by the forwarded port", lambda: fetch(port) == "it is the guest")
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if lowest > 81:
        refused = sandbox.ctl("net", "forward-add", machine.name, "81:8080", check=False)
        check("Port 81 of this host is reserved for the administrator" in refused.stderr, f"port 81: {refused.stderr}")


def guest_uses_its_disk(machine, console):
    console.run("seq 100000 > /tmp/numbers && dd if=/tmp/numbers of=/dev/vda bs=64k conv=fsync 2>/dev/null")
    machine.power_off(console)
    image = machine.disk()
    plain = image.with_suffix(".raw")
    report = json.loads(machine.sandbox.ctl("--json", "disk", "check", image).stdout)
    check(report["errors"] == 0 and report["leaks"] == 0, f"the disk's check says {report}")
    machine.sandbox.ctl("disk", "convert", image, plain)
    numbers = "".join(f"{number}\n" for number in range(1, 100001)).encode()
    with open(plain, "rb") as file:
        check(digest(file.read(len(numbers))) == digest(numbers), "the disk does not hold what was written")


def machine_with_everything():
    if os.getuid() == 0:
        skip("this is root: run it by as_ordinary_user")
    has_no_right("self")
    (iso,) = need("live.iso")
    sandbox = Sandbox()
    doctor = json.loads(sandbox.ctl("--json", "doctor", check=False).stdout)
    check(doctor["ready"], f"skepctl doctor says {doctor}")
    machine = LiveMachine(sandbox, "Everything", "--disk", "64M", "--disk-format", "qcow2", "--network", "user", iso=iso)
    try:
        console = machine.start()
        processes_have_no_rights(machine)
        guest_uses_the_network(sandbox, machine, console)
        guest_uses_its_disk(machine, console)
    finally:
        machine.clean_up()


main(machine_with_everything)
