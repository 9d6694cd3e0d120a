#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""run_guest.py SKEPCTL IMAGE BACK-END EXIT-CODE [OPTION...]: runs an assembled guest and judges it by its exit code and its
book of checks. BACK-END kvm-hardware is KVM, but not one without hardware behind it. Leaves with 77 (skipped) and the reason
where there is no such KVM."""
import os
import re
import subprocess
import sys

LIMIT = 20  # seconds of wall-clock time
WORKER_ERROR = 4  # skepctl's exit code when the machine could not go on

skepctl, image, back_end, wanted, *options = sys.argv[1:]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


# The same test as vmm/control/host_check makes: a processor that lists neither feature does not virtualise.
def has_virtualisation_hardware():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return "vmx" in flags or "svm" in flags


needs_hardware = back_end == "kvm-hardware"
if needs_hardware:
    back_end = "kvm"
if back_end == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
    skip("/dev/kvm is not usable here")
if needs_hardware and not has_virtualisation_hardware():
    module = next((name for name in os.listdir("/sys/module") if name.startswith("kvm_")), "unknown")
    skip(f"/dev/kvm here has no vmx or svm behind it (module {module}): the guest's kernel is emulated, which loses interrupt "
         "windows of one instruction; the same guest with wide windows is guest-apic-wide-kvm")
command = [skepctl, "run", "--firmware", "multiboot", "--kernel", image, "--debug-exit", "--cpu", back_end,
           "--memory", "64M", "--timeout", str(LIMIT), *options]
try:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=LIMIT + 10)
except subprocess.TimeoutExpired as late:
    print((late.stdout or b"").decode(errors="replace"))
    sys.exit(f"{image}: no end after {LIMIT + 10} s")
print(done.stdout)
print(done.stderr)
if back_end == "kvm" and done.returncode in (WORKER_ERROR, 124):
    skip(f"this host's KVM could not run it (exit code {done.returncode})")

problems = []
if done.returncode != int(wanted):
    problems.append(f"exit code {done.returncode} instead of {wanted}")
passed = done.stdout.count("PASS ")
if "FAIL" in done.stdout:
    problems.append("failed checks")
end = re.search(r"END passed ([0-9a-f]{8}) failed ([0-9a-f]{8})", done.stdout)
if int(wanted) & 1 and int(wanted) != 3 and (not end or int(end[1], 16) != passed or passed == 0):
    problems.append(f"its own count does not agree with {passed} lines of PASS")
sys.exit("; ".join(problems) or 0)
