#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Linux guest with the kernel's own driver plays a tone, which SDL writes to a file, and records one that SDL reads from a
file: it has its frequency, and not one sample is missing."""
import array
import math
import os
import re
import tempfile

from skep_guest import check, main, need, run_guest

RATE = 48000
FRAME = 2  # samples


def boot(sound, env=None):
    kernel, initrd = need("sound.vmlinuz", "sound.initrd")
    guest = run_guest("--memory", "256M", "--sound", sound, "--kernel", kernel, "--initrd", initrd, "--append",
                      "console=ttyS0 quiet", env=env, name=sound)
    guest.expect(r"skep# ", 300)
    return guest


def disk_environment(**files):
    # SDL's driver takes 512 frames every so many milliseconds: slower than the busiest host feeds it.
    return dict(os.environ, SDL_AUDIODRIVER="disk", SDL_DISKAUDIODELAY="40", **files)


def read_left(path):
    samples = array.array("f")
    with open(path, "rb") as opened:
        samples.frombytes(opened.read())
    return samples[::FRAME]


def gaps(samples, hertz):
    """Where a sine stops being one: each sample follows from the two before it."""
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    return [index for index in range(2, len(samples))
            if abs(samples[index] - factor * samples[index - 1] + samples[index - 2]) > 6 / 32768]


def power_off(guest):
    guest.send("poweroff\n")
    check(guest.wait(120) == 1, "power-off must exit with 1")


def guest_plays_a_tone():
    with tempfile.TemporaryDirectory(prefix="skep-test-") as folder:
        path = os.path.join(folder, "played.raw")
        guest = boot("sdl", disk_environment(SDL_DISKAUDIOFILE=path))
        said = guest.run(f"tone play 1000 2 {RATE}")
        match = re.search(r"played (\d+), underruns 0", said)
        check(match, f"the guest could not play: {said}")
        power_off(guest)
        left = read_left(path)
    played = int(match.group(1))
    begin = next((index for index, sample in enumerate(left) if sample != 0), len(left)) - 1
    tone = left[begin:begin + played]
    check(len(tone) == played, f"{played} frames were played, {len(tone)} arrived")
    check(abs(max(tone) - 0.5) < 0.001, f"half of full scale was played, {max(tone)} arrived")
    wrong = gaps(tone, 1000)
    check(not wrong, f"the tone is broken at {wrong[:10]} of {played}")


def guest_records_a_tone():
    with tempfile.TemporaryDirectory(prefix="skep-test-") as folder:
        path = os.path.join(folder, "spoken.raw")
        samples = array.array("f")
        for index in range(10 * RATE):
            samples.extend([0.25 * math.sin(2 * math.pi * 440 * index / RATE)] * FRAME)
        with open(path, "wb") as opened:
            opened.write(samples.tobytes())
        guest = boot("sdl", disk_environment(SDL_DISKAUDIOFILEIN=path))
        said = guest.run(f"tone record 2 {RATE}")
        match = re.search(r"heard ([0-9.]+), overruns 0", said)
        check(match and abs(float(match.group(1)) - 440) < 0.5, f"440 Hz was spoken: {said}")
        power_off(guest)


def silent_card_takes_its_time():
    guest = boot("silent")
    said = guest.run(f"read before rest < /proc/uptime; tone play 1000 2 {RATE}; read after rest < /proc/uptime; "
                     "echo took $before $after")
    check("played 96256, underruns 0" in said, f"the guest could not play: {said}")
    before, after = map(float, re.search(r"took ([0-9.]+) ([0-9.]+)", said).groups())
    check(1.9 < after - before < 6, f"two seconds took {after - before} s")
    power_off(guest)


main(guest_plays_a_tone, guest_records_a_tone, silent_card_takes_its_time)
