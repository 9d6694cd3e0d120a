# SPDX-License-Identifier: GPL-3.0-or-later
"""A desktop of its own (Xvfb, openbox) with Skep's window on it, driven by real mouse clicks and keys (xdotool).

Where to click, and what a person would read, comes from the JSON that `skep` writes to the file SKEP_UI_DUMP names
(ui/widgets/ui_dump.hpp). Nothing else than X events goes into the window."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from skep_guest import BUILD, OUTPUT, Failure, Sandbox, check, skip

WIDTH, HEIGHT = 1280, 800
FRAME = 0.05   # how often the file is looked at


def belongs_to(sandbox, pid):
    """Whether the process was started in this sandbox: its environment or its command line names it."""
    for name in ("environ", "cmdline"):
        try:
            if str(sandbox).encode() in pathlib.Path(f"/proc/{pid}/{name}").read_bytes():
                return True
        except OSError:
            pass
    return False


def end_processes_of(sandbox):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and belongs_to(sandbox, entry.name):
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                pass


class Desktop:
    """Use as a context manager: leaves no process behind, even when the test itself is killed."""

    def __init__(self):
        for tool in ("Xvfb", "openbox", "xdotool", "xprop", "import"):
            if shutil.which(tool) is None:
                skip(f"the program {tool} is missing: run scripts/setup test")
        self.sandbox = Sandbox()
        self.env = self.sandbox.env
        self.home = self.sandbox.path / "home"
        (self.home / "Downloads").mkdir(parents=True)
        self.env.update(HOME=str(self.home), QT_QPA_PLATFORM="xcb", LANG="C.UTF-8", LC_ALL="C.UTF-8",
                        SKEP_UI_DUMP=str(self.sandbox.path / "window.json"))
        for unwanted in ("WAYLAND_DISPLAY", "SKEP_MAKE_SAMPLE", "DBUS_SESSION_BUS_ADDRESS", "QT_STYLE_OVERRIDE", "QT_SCALE_FACTOR"):
            self.env.pop(unwanted, None)
        self.clicks = 0
        self.keys = 0
        self.skep = None

    def __enter__(self):
        plain = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        self.reaper = subprocess.Popen([sys.executable, __file__, str(self.sandbox.path)], stdin=subprocess.PIPE,
                                       env=plain, start_new_session=True)
        read_end, write_end = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp",
             "-noreset"],   # else the server starts anew when a first short-lived client goes
            pass_fds=[write_end], env=self.env, stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as answer:
            self.env["DISPLAY"] = ":" + answer.readline().strip()
        self.manager = subprocess.Popen(["openbox", "--sm-disable", *self.without_key_bindings()], env=self.env, stdout=subprocess.DEVNULL,
                                        stderr=(self.sandbox.path / "openbox.err").open("a"))
        self.wait("window manager", lambda: "#" in self.root_property("_NET_SUPPORTING_WM_CHECK"), 30)
        self.start = time.monotonic()
        return self

    def without_key_bindings(self):
        """Openbox' own settings but for its keyboard: Print is nobody's but the window's."""
        system = pathlib.Path("/etc/xdg/openbox/rc.xml")
        if not system.exists():
            return []
        settings = self.sandbox.path / "openbox.xml"
        settings.write_text(re.sub(r"<keyboard>.*</keyboard>", "<keyboard/>", system.read_text(), flags=re.S))
        return ["--config-file", str(settings)]

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.screenshot("failed")
            print(f"on the screen at the end:\n{self.describe()}", flush=True)
            self.print_logs()
        self.server.terminate()
        self.reaper.stdin.close()   # the reaper ends what is left, then itself
        self.reaper.wait(30)
        return False

    # --- the program

    def run_skep(self, *arguments):
        """Starts the window; returns when it is on the screen. Its start is time 0 for stage()."""
        dump = pathlib.Path(self.env["SKEP_UI_DUMP"])
        dump.unlink(missing_ok=True)
        self.start = time.monotonic()
        self.skep = subprocess.Popen([str(BUILD / "bin" / "skep"), *map(str, arguments)], env=self.env,
                                     stderr=(self.sandbox.path / "skep.err").open("a"))
        self.wait("the window", lambda: self.dump() is not None and self.find("libraryWindow"), 60)
        self.wait("keyboard in the window", lambda: "#" in self.root_property("_NET_ACTIVE_WINDOW"), 30)
        self.stage("window on the screen")

    def root_property(self, name):
        return subprocess.run(["xprop", "-root", name], env=self.env, capture_output=True, text=True, timeout=30).stdout

    def stage(self, what):
        print(f"[{time.monotonic() - self.start:7.2f} s, {self.clicks} clicks, {self.keys} keys] {what}", flush=True)

    def print_logs(self):
        print(f"window manager: {'runs' if self.manager.poll() is None else self.manager.returncode}")
        errors = [self.sandbox.path / "openbox.err", self.sandbox.path / "skep.err"]
        for log in [*errors, *self.sandbox.path.glob("data/skep/machines/*/log/*")]:
            if log.is_file():
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", flush=True)

    # --- what is on the screen

    def dump(self):
        try:
            return json.loads(pathlib.Path(self.env["SKEP_UI_DUMP"]).read_text())
        except (OSError, ValueError):
            return None

    def widgets(self):
        return (self.dump() or {"widgets": []})["widgets"]

    def find(self, name):
        """The visible widget of that object name, else the menu entry."""
        for widget in self.widgets():
            if widget["name"] == name:
                return widget
        for widget in self.widgets():
            for item in widget.get("items", []):
                if item["name"] == name:
                    return item
        return None

    def item(self, name, part):
        """The first row of a list, or tab, whose text holds `part`."""
        widget = self.find(name)
        for item in widget.get("items", []) if widget else []:
            if part in item["text"]:
                return item
        return None

    def text(self, name):
        widget = self.find(name)
        return widget["text"] if widget else ""

    def enabled(self, name):
        widget = self.find(name)
        return bool(widget and widget["enabled"])

    def describe(self):
        return "\n".join(f"  {w['name']} {w['class']} {w['x']},{w['y']} {w['width']}x{w['height']}"
                         f"{'' if w['enabled'] else ' disabled'} {w['text'][-1500:]!r}"
                         for w in self.widgets() if w["name"] and not w["name"].startswith("qt_"))

    def wait(self, what, condition, timeout):
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if self.skep is not None and self.skep.poll() is not None:
                raise Failure(f"skep ended with {self.skep.returncode} while waiting for {what}")
            if time.monotonic() > deadline:
                raise Failure(f"no {what} within {timeout} s")
            time.sleep(FRAME)

    def wait_for(self, name, timeout=20):
        return self.wait(f"widget {name}", lambda: self.find(name), timeout)

    def wait_text(self, name, part, timeout):
        self.wait(f"{part!r} in {name}", lambda: part in self.text(name), timeout)

    def screenshot(self, name):
        OUTPUT.mkdir(parents=True, exist_ok=True)
        path = OUTPUT / f"{name}.png"
        subprocess.run(["import", "-window", "root", "-silent", str(path)], env=self.env, check=False, timeout=60)
        return path

    # --- what a person does

    def xdotool(self, *arguments):
        subprocess.run(["xdotool", *map(str, arguments)], env=self.env, check=True, timeout=30)

    def click_at(self, place, button=1):
        check(place["width"] > 0 and place["height"] > 0, f"nothing to click: {place}")
        self.xdotool("mousemove", place["x"] + place["width"] // 2, place["y"] + place["height"] // 2, "click", button)
        self.clicks += 1

    def settled(self, find, what, timeout):
        """Waits until the place stays where it is and is enabled: layouts move while a page fills."""
        def still():
            first = find()
            if not first or not first["enabled"]:
                return None
            time.sleep(0.25)
            second = find()
            same = second and all(first[key] == second[key] for key in ("x", "y", "width", "height", "enabled"))
            return second if same else None
        return self.wait(f"{what} to click", still, timeout)

    def click(self, name, timeout=20):
        self.click_at(self.settled(lambda: self.find(name), name, timeout))

    def click_item(self, name, part, timeout=20, button=1):
        self.click_at(self.settled(lambda: self.item(name, part), f"{part!r} of {name}", timeout), button)

    def press(self, *keys):
        self.xdotool("key", "--delay", "40", *keys)
        self.keys += len(keys)

    def type(self, text):
        self.xdotool("type", "--delay", "15", text)
        self.keys += len(str(text))

    def replace_text(self, text):
        self.press("ctrl+a")
        self.type(text)


if __name__ == "__main__":
    # The reaper: waits for the test's end, however it ends, and ends what it started.
    sys.stdin.buffer.read()
    end_processes_of(sys.argv[1])
