# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP ports of this computer."""
import os
import pathlib
import socket


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_display():
    """A port that VNC viewers name by a small number: 5900 + the display's."""
    for port in range(5911, 5999):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise OSError("no port of VNC's is free")


def listening_addresses(port):
    """As the kernel shows them, of IPv4 and IPv6."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:] if os.path.exists(table) else []:
            fields = line.split()
            address, number = fields[1].split(":")
            if int(number, 16) == port and fields[3] == "0A":
                found.append(address)
    return found
