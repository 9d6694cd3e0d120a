#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest on the host's network: an address by DHCP, downloads from the host, ports that lead into it, its cable."""
import hashlib
import http.server
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request

from live_machine import LiveMachine
from skep_guest import Sandbox, check, main

HOST = "10.0.2.2"     # the host as the guest knows it
GUEST = "10.0.2.15"
DOWNLOADS = 64


class Files:
    """A web server on the host's loopback: /N is file N."""

    def __init__(self, sizes):
        self.contents = [os.urandom(size) for size in sizes]
        contents = self.contents

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = contents[int(self.path[1:])]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 2 * DOWNLOADS

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sum(self, number):
        return hashlib.sha256(self.contents[number]).hexdigest()


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, f"no {what} within {seconds} s")
        time.sleep(0.1)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def fetch(port):
    """What the guest's web server says through a port of the host; None while it says nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/f", timeout=5) as answer:
            return answer.read().decode().strip()
    except (urllib.error.URLError, OSError):
        return None


def card(machine):
    return machine.json("info")["worker"]["networks"][0]


def files_come_with_right_sums(console, machine):
    files = Files([8 << 20] + [64 << 10] * DOWNLOADS)
    got = console.run(f"wget -q -O - {files.url}/0 | sha256sum", 60)
    check(files.sum(0) in got, f"the download's sum is {got}")
    console.run(f"for i in $(seq {DOWNLOADS}); do (wget -q -O - {files.url}/$i | sha256sum > /tmp/sum.$i) & done; wait", 60)
    got = re.findall(r"\b[0-9a-f]{64}\b", console.run(f"for i in $(seq {DOWNLOADS}); do cat /tmp/sum.$i; done"))
    check(got == [files.sum(number) for number in range(1, DOWNLOADS + 1)], f"sums of parallel downloads: {len(got)} came")
    wait_for("connection in the glass", lambda: card(machine)["glass"]["connections_ever"] > DOWNLOADS)
    check(card(machine)["bytes_received"] > 8 << 20, "the bytes are not counted")


def port_leads_into_the_guest(console, machine, forward):
    console.run("mkdir -p /www && echo it is the guest > /www/f && httpd -p 8080 -h /www")
    port = free_port()
    forward("add", port)
    wait_for("answer by the forwarded port", lambda: fetch(port) == "it is the guest")
    forward("remove", port)
    check(fetch(port) is None, "a removed forward still leads somewhere")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        refused = forward("add", taken, check=False)
        check(refused.returncode == 1 and f"Port {taken} of this host is taken by another program" in refused.stderr,
              f"a taken port is answered by {refused.returncode}: {refused.stderr}")
    check(card(machine)["forwards"] == [], f"forwards are {card(machine)['forwards']}")


def cable_goes_and_comes(console, pull):
    carrier = "cat /sys/class/net/eth0/carrier"
    pull("false")
    wait_for("carrier lost", lambda: "0" in console.run(carrier).split())
    console.run(f"! ping -c 1 -W 1 {HOST}")
    pull("true")
    wait_for("carrier found", lambda: "1" in console.run(carrier).split())
    console.run(f"for i in $(seq 50); do ping -c 1 -W 1 {HOST} && break; sleep 0.2; done | grep ttl")


def guest_is_on_the_hosts_network(kind, kernel):
    sandbox = Sandbox()
    machine = LiveMachine(sandbox, "Networked", "--network", f"user,card={kind}", kernel=kernel)
    try:
        console = machine.start()
        wait_for("address in info", lambda: card(machine)["ip"] == GUEST)
        files_come_with_right_sums(console, machine)

        def forward(action, port, check=True):
            return sandbox.ctl("net", f"forward-{action}", machine.name, f"{port}:8080", check=check)

        port_leads_into_the_guest(console, machine, forward)
        # A running machine takes it by `set` as well as by `net`.
        if kind == "virtio":
            cable_goes_and_comes(console, lambda on: machine.ctl("set", f"networks.net0.link={on}"))
        else:
            cable_goes_and_comes(console, lambda on: sandbox.ctl("net", "link-up" if on == "true" else "link-down", machine.name))
    finally:
        machine.clean_up()


def virtio_card():
    guest_is_on_the_hosts_network("virtio", "live")


def e1000_card():
    guest_is_on_the_hosts_network("e1000", "generic")


if __name__ == "__main__":
    main(virtio_card, e1000_card)
