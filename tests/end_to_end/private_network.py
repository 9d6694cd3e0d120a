#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two machines on a private network reach each other and nobody else; one is killed, the other goes to the host's network."""
import re

from live_machine import LiveMachine
from skep_guest import Sandbox, check, main
from network import card, wait_for


def give_address(console, address):
    console.run(f"killall udhcpc; ip addr flush dev eth0; ip addr add {address}/24 dev eth0 && ip link set eth0 up")


def bytes_come_with_the_right_sum(to, at):
    """From the machine `at` (its console) to the console `to`."""
    sums = at.run("mkdir -p /www && head -c 4000000 /dev/urandom > /www/f && sha256sum /www/f && httpd -p 80 -h /www", 60)
    want = re.search(r"\b[0-9a-f]{64}\b", sums)[0]
    got = to.run("wget -q -O - http://10.1.1.2/f | sha256sum", 60)
    check(want in got, f"the file's sum is {got}, not {want}")


def two_machines_see_each_other_come_and_go():
    sandbox = Sandbox()
    machines = [LiveMachine(sandbox, name, "--network", "socket,network=lab") for name in ("Alpha", "Beta")]
    alpha, beta = machines
    try:
        first, second = alpha.start(), beta.start()
        wait_for("other machine in info", lambda: card(alpha)["connected_to"] == "private network 'lab', 1 other machine")
        check(card(beta)["others"] == ["Alpha"], f"others are {card(beta)}")
        give_address(first, "10.1.1.1")
        give_address(second, "10.1.1.2")
        first.run("ping -c 2 -W 10 10.1.1.2 | grep ttl")
        bytes_come_with_the_right_sum(first, second)
        check(card(beta)["ip"] == "10.1.1.2", f"the address is {card(beta)['ip']}")
        beta.kill_worker()
        wait_for("lonely machine in info", lambda: card(alpha)["connected_to"] == "private network 'lab', nobody else")
        alpha.ctl("set", "networks.net0.backend=user")
        first.run("ip addr flush dev eth0; udhcpc -q -n -t 20 -T 1 -i eth0 -s /etc/udhcpc.script; ping -c 1 -W 10 10.0.2.2 | grep ttl", 60)
        check(card(alpha)["connected_to"] == "this computer's network", f"it is connected to {card(alpha)}")
        refused = alpha.ctl("set", "networks.net0.backend=tap", "networks.net0.network=skep-none", check=False)
        check(refused.returncode == 1 and "no network interface 'skep-none'" in refused.stderr, f"a tap that is not there: {refused}")
        check(card(alpha)["backend"] == "user", "a refused change has changed something")
    finally:
        for machine in machines:
            machine.clean_up()


if __name__ == "__main__":
    main(two_machines_see_each_other_come_and_go)
