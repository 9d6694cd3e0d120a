#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""describe_devices.py SKEP-VMM CATALOGUE.DEF: `skep-vmm --describe-devices` prints every line of the catalogue, as JSON and
as text, and refuses other forms in one sentence."""
import json
import re
import subprocess
import sys

worker, definition = sys.argv[1:]


def run(*arguments):
    return subprocess.run([worker, "--describe-devices", *arguments], capture_output=True, text=True, timeout=20)


with open(definition, encoding="utf-8") as lines:
    listed = re.findall(r'^SKEP_DEVICE\("([^"]+)"', lines.read(), re.MULTILINE)
answer = run()
assert answer.returncode == 0, answer.stderr
assert answer.stdout == run("json").stdout
described = json.loads(answer.stdout)
assert described["format"] == 1
devices = {device["id"]: device for device in described["devices"]}
assert list(devices) == listed and len(listed) > 15, (list(devices), listed)
for device in devices.values():
    assert device["title"] and device["document"] and device["where"] and device["bus"], device
    assert device["always"] or device["options"], device
    for option in device["options"]:
        assert option["path"] and option["label"] and option["help"], option
bus = next(option for option in devices["virtio-blk"]["options"] if option["path"] == "disks[].bus")
assert bus["type"] == "choice" and bus["default"] in bus["choices"], bus
ports = devices["serial"]["options"][0]
assert (ports["minimum"], ports["maximum"], ports["default"]) == (0, 4, "1"), ports

text = run("text").stdout
assert re.findall(r"^([\w-]+) \(", text, re.MULTILINE) == listed
wrong = run("xml")
assert wrong.returncode != 0 and wrong.stdout == "" and wrong.stderr.count("\n") == 1, wrong
