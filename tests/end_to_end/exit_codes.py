#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`skepctl run` ends with the codes that README promises, whatever its standard input does."""
import pathlib
import subprocess
import tempfile
import time

import tiny_kernel
from skep_guest import SKEPCTL, check, main, need, run_guest

folder = tempfile.TemporaryDirectory(prefix="skep-test-")
FOLDER = pathlib.Path(folder.name)


def run_tiny(code, *options, seconds=60, **streams):
    kernel = tiny_kernel.write_kernel(FOLDER / "kernel", code)
    streams.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(SKEPCTL), "run", "--cpu", "interp", "--memory", "32M", "--firmware", "multiboot",
                           "--kernel", str(kernel), *options], capture_output=True, timeout=seconds, **streams)


def expect_code(done, code, what):
    check(done.returncode == code, f"{what}: exit code {done.returncode}, not {code}: {done.stderr.decode()}")


def halt_gives_2():
    expect_code(run_tiny(tiny_kernel.HALT), 2, "cli; hlt")


def triple_fault_gives_3():
    expect_code(run_tiny(tiny_kernel.TRIPLE_FAULT), 3, "triple fault")


def reset_gives_0():
    expect_code(run_tiny(tiny_kernel.PORT_92_RESET, "--exit-on-reboot"), 0, "reset by port 0x92")


def panic_is_the_guests_own_unless_the_settings_say_otherwise():
    code = tiny_kernel.PANIC + tiny_kernel.debug_exit(21)
    expect_code(run_tiny(code, "--debug-exit"), 43, "a panic after which the guest goes on")
    expect_code(run_tiny(tiny_kernel.PANIC + tiny_kernel.SLEEP, "--set", "on_panic=exit"), 3, "a panic that ends the machine")


def guest_that_cannot_but_crash_is_not_started_for_ever():
    done = run_tiny(tiny_kernel.TRIPLE_FAULT, "--set", "on_crash=restart")
    expect_code(done, 3, "triple fault at every start")
    check(done.stderr.count(b"triple fault") >= 3, f"it was not started again: {done.stderr.decode()}")
    expect_code(run_tiny(tiny_kernel.HALT, "--set", "on_halt=restart"), 2, "halt at every start")
    expect_code(run_tiny(tiny_kernel.PANIC + tiny_kernel.SLEEP, "--set", "on_panic=restart"), 3, "panic at every start")


def debug_exit_gives_its_value():
    for value in (0, 21, 127):
        expect_code(run_tiny(tiny_kernel.debug_exit(value), "--debug-exit"), (value << 1 | 1) & 0xFF, f"debug exit {value}")


def debug_exit_without_the_option_is_no_device():
    expect_code(run_tiny(tiny_kernel.debug_exit(21), "--timeout", "1"), 124, "port 0xf4 without a device")


def timeout_gives_124():
    begin = time.monotonic()
    expect_code(run_tiny(tiny_kernel.SLEEP, "--timeout", "1.5"), 124, "timeout")
    check(time.monotonic() - begin > 1.4, "the timeout came early")


def bad_kernel_gives_4():
    kernel = FOLDER / "nothing"
    kernel.write_bytes(bytes(100_000))
    done = subprocess.run([str(SKEPCTL), "run", "--kernel", str(kernel)], capture_output=True, timeout=60)
    expect_code(done, 4, "no kernel")


def end_of_standard_input_is_not_the_guests_end():
    done = run_tiny(tiny_kernel.say_and_exit("still here\n"), "--debug-exit")
    expect_code(done, 43, "debug exit after the end of standard input")
    check(done.stdout == b"still here\n", f"the serial port said {done.stdout!r}")
    done = run_tiny(tiny_kernel.echo_one_key_and_exit(), "--debug-exit", stdin=None, input=b"x")
    expect_code(done, 43, "a key, then the end of standard input")
    check(done.stdout == b"x", f"the serial port said {done.stdout!r}")


def linux_halt_gives_2():
    kernel, initrd = need("live.vmlinuz", "live.initrd")
    guest = run_guest("--memory", "256M", "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0", name="Linux")
    guest.expect("skep# ", 300)
    guest.send("halt -f\n")
    check(guest.wait(60) == 2, f"halt must exit with 2, not {guest.process.returncode}")


main(halt_gives_2, triple_fault_gives_3, reset_gives_0, panic_is_the_guests_own_unless_the_settings_say_otherwise,
     guest_that_cannot_but_crash_is_not_started_for_ever, debug_exit_gives_its_value,
     debug_exit_without_the_option_is_no_device, timeout_gives_124, bad_kernel_gives_4,
     end_of_standard_input_is_not_the_guests_end, linux_halt_gives_2)
