# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests driven over their serial console, for the end-to-end tests. Only the standard library."""
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ["SKEP_BUILD"])       # build/release
MEDIA = pathlib.Path(os.environ["SKEP_MEDIA"])       # build/media
OUTPUT = pathlib.Path(os.environ.get("SKEP_OUTPUT", BUILD / "test-output"))   # screenshots and logs to look at
TEST_CPU = os.environ.get("SKEP_TEST_CPU", "jit")
SKEPCTL = BUILD / "bin" / "skepctl"


class Failure(Exception):
    pass


def skip(reason):
    """Ends the test as skipped (ctest's SKIP_RETURN_CODE)."""
    print("SKIPPED:", reason)
    sys.exit(77)


def need(*names):
    for name in names:
        if not (MEDIA / name).exists():
            skip(f"{MEDIA / name} is missing: run tests/media/make-media")
    return [MEDIA / name for name in names]


class Sandbox:
    """A home of its own for one test: data, runtime and cache folders."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="skep-test-")
        self.path = pathlib.Path(self.folder.name)
        self.env = dict(os.environ)
        for name in ("data", "run", "cache", "config"):
            (self.path / name).mkdir(mode=0o700)
        self.env.update(XDG_DATA_HOME=str(self.path / "data"), XDG_RUNTIME_DIR=str(self.path / "run"),
                        XDG_CACHE_HOME=str(self.path / "cache"), XDG_CONFIG_HOME=str(self.path / "config"))

    def ctl(self, *arguments, check=True):
        done = subprocess.run([str(SKEPCTL), *map(str, arguments)], env=self.env, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise Failure(f"skepctl {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr}{done.stdout}")
        return done


class Console:
    """A process whose standard streams are a guest's serial port."""

    def __init__(self, arguments, env=None, name="console"):
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env)
        self.name = name
        self.seen = ""       # everything so far
        self.position = 0    # what expect() has consumed
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start

    def read(self, timeout):
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            return None
        self.seen += data.decode("utf-8", "replace")
        return True

    def expect(self, pattern, timeout):
        """Waits for the pattern after what was expected last; returns the match."""
        deadline = time.monotonic() + timeout
        expression = re.compile(pattern, re.S)
        while True:
            match = expression.search(self.seen, self.position)
            if match:
                self.position = match.end()
                print(f"[{self.name} {self.seconds():7.1f} s] saw {pattern!r}", flush=True)
                return match
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(f"no {pattern!r} within {timeout} s")
            if self.read(min(left, 1.0)) is None:
                self.fail(f"the console ended before {pattern!r}")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def run(self, command, timeout=60):
        """Types a shell command; returns its output and fails unless it exits with 0."""
        self.position = len(self.seen)
        self.send(f"{command}; echo \"[$?]done\"\n")
        match = self.expect(r"\n(.*?)\[(\d+)\]done", timeout)
        if match.group(2) != "0":
            self.fail(f"{command!r} exited with {match.group(2)}")
        return match.group(1)

    def wait(self, timeout):
        """The exit code; reads on meanwhile."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.fail(f"still running after {timeout} s")
            self.read(0.2)
        while self.read(0):
            pass
        return self.process.returncode

    def fail(self, why):
        self.kill()
        errors = self.process.stderr.read().decode("utf-8", "replace")
        raise Failure(f"{self.name}: {why}\n--- last of the console ---\n{self.seen[-3000:]}\n--- standard error ---\n{errors[-2000:]}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run_guest(*options, env=None, name="guest"):
    """`skepctl run`: a throw-away machine on the software CPU (SKEP_TEST_CPU: jit or interp)."""
    return Console([SKEPCTL, "run", "--cpu", TEST_CPU, *options], env=env, name=name)


def check(condition, message):
    if not condition:
        raise Failure(message)


def main(*tests):
    OUTPUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        print(f"=== {test.__name__}", flush=True)
        begin = time.monotonic()
        try:
            test()
        except Failure as failure:
            print(f"FAILED {test.__name__}: {failure}", flush=True)
            sys.exit(1)
        print(f"=== {test.__name__}: ok, {time.monotonic() - begin:.1f} s", flush=True)
