#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live Linux, 64 or 32 bits wide, reaches a shell by direct boot and by ISO, with 1 and 2 vCPUs, and ends with the right
exit codes."""
from skep_guest import check, main, need, run_guest

SHELL = r"skep# "


def boot(cpus, *options):
    guest = run_guest("--memory", "256M", "--cpus", cpus, *options, name=f"{cpus} vCPU")
    guest.expect(r"skep: Linux (\S+), (\d+) processor", 600)
    guest.expect(SHELL, 60)
    return guest


def direct(cpus, *options):
    kernel, initrd = need("live.vmlinuz", "live.initrd")
    return boot(cpus, "--firmware", "linux", "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0", *options)


def processors(guest):
    return int(guest.run("grep -c ^processor /proc/cpuinfo").strip().splitlines()[-1])


def direct_boot_one_cpu_powers_off():
    guest = direct(1)
    check("6 * 7 = 42" in guest.run("echo 6 '*' 7 = $((6 * 7))"), "the shell did not answer")
    check(processors(guest) == 1, "one processor expected")
    guest.send("poweroff\n")
    check(guest.wait(120) == 1, f"power-off must exit with 1, not {guest.process.returncode}")


def direct_boot_two_cpus_reboots():
    guest = direct(2, "--exit-on-reboot")
    check(processors(guest) == 2, "two processors expected")
    guest.run("for i in 1 2 3 4; do (echo $i | sha256sum) & done; wait")
    guest.send("reboot\n")
    check(guest.wait(120) == 0, f"reboot must exit with 0, not {guest.process.returncode}")


def direct_boot_32_bit_powers_off():
    kernel, initrd = need("i386.vmlinuz", "i386.initrd")
    guest = boot(1, "--firmware", "linux", "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0")
    check("686" in guest.run("uname -r"), "a 32-bit kernel expected")
    guest.run("sha256sum /bin/busybox > /sum && sha256sum -c /sum")
    guest.send("poweroff -f\n")
    check(guest.wait(120) == 1, f"power-off must exit with 1, not {guest.process.returncode}")


def iso_boot_one_cpu_powers_off():
    (iso,) = need("live.iso")
    guest = boot(1, "--iso", iso)
    guest.send("poweroff\n")
    check(guest.wait(120) == 1, "power-off must exit with 1")


def iso_boot_two_cpus_reboots():
    (iso,) = need("live.iso")
    guest = boot(2, "--iso", iso, "--exit-on-reboot")
    check(processors(guest) == 2, "two processors expected")
    guest.send("reboot\n")
    check(guest.wait(120) == 0, "reboot must exit with 0")


main(direct_boot_one_cpu_powers_off, direct_boot_two_cpus_reboots, direct_boot_32_bit_powers_off, iso_boot_one_cpu_powers_off,
     iso_boot_two_cpus_reboots)
