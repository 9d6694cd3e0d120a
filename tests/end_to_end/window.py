#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window as a person uses it: on an X display of its own, with mouse clicks and keys only."""
import json
import os
import pathlib
import re
import shutil
import signal
import time

from desktop import Desktop
from skep_guest import check, main, need



def wait_shell(desktop):
    """The prompt is the last thing on the console's screen (blanks at a line's end are not part of the text)."""
    desktop.wait("a shell", lambda: desktop.text("terminal1").rstrip().endswith("skep#"), 240)


def machine_folder(desktop, name):
    return desktop.sandbox.path / "data" / "skep" / "machines" / f"{name}.skep"


def worker_pid(desktop, name):
    return json.loads(desktop.sandbox.ctl("--json", "info", name).stdout).get("pid")


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def offer(desktop, medium, name):
    """Puts a CD image into the person's downloads."""
    path = desktop.home / "Downloads" / name
    os.link(medium, path) if os.stat(medium).st_dev == os.stat(desktop.home).st_dev else shutil.copy(medium, path)
    return path


def installer_runs_after_three_clicks():
    (iso,) = need("di-text.iso")
    with Desktop() as desktop:
        offer(desktop, iso, "di-text.iso")
        desktop.run_skep()
        desktop.screenshot("installer-1-empty-library")
        desktop.click("welcomeNew")
        desktop.settled(lambda: desktop.item("mediaList", "di-text.iso"), "the offered CD", 20)
        desktop.screenshot("installer-2-new-sheet")
        desktop.click_item("mediaList", "di-text.iso")
        desktop.wait_text("recognised", "Debian 12", 20)
        desktop.wait("a name", lambda: "Debian" in desktop.text("field_name"), 20)
        desktop.stage("installer CD recognised")
        memory = int(re.sub(r"\D", "", desktop.text("field_memory")))
        check(memory >= 1024, f"only {memory} MiB suggested")
        desktop.screenshot("installer-3-recognised")
        desktop.click("createAndStart")
        desktop.wait_text("vmState", "Running", 30)
        clicks = desktop.clicks
        desktop.stage("machine runs")
        check(clicks <= 4 and desktop.keys == 0, f"{clicks} clicks and {desktop.keys} keys to a running installer")
        desktop.wait_text("screen", "720 × 400", 60)
        desktop.stage("firmware shows itself")
        desktop.screenshot("installer-4-firmware")
        desktop.click_item("qt_tabwidget_tabbar", "Serial 1")   # this CD's installer speaks there
        clicks = desktop.clicks
        desktop.wait("kernel messages", lambda: re.search(r"\[ +\d+\.\d{6}\] ", desktop.text("terminal1")), 240)
        desktop.stage("kernel speaks")
        desktop.wait_text("terminal1", "Select a language", 420)
        desktop.stage("the installer's language menu")
        time.sleep(1)
        desktop.screenshot("installer-5-language")
        desktop.press("Up")
        time.sleep(1)
        desktop.screenshot("installer-6-arrow-key")
        # "English" is marked and would lead to a short list of countries; the line above it leads to the continents.
        desktop.press("Return")
        desktop.wait_text("terminal1", "Continent or region:", 120)
        desktop.stage("the next screen, after arrow keys and Enter")
        time.sleep(1)
        desktop.screenshot("installer-7-location")
        # "Africa" is marked; two lines down is "Asia".
        desktop.press("Down", "Down", "Return")
        desktop.wait_text("terminal1", "Country, territory or area:", 60)
        check("Afghanistan" in desktop.text("terminal1"), "the countries are not Asia's")
        desktop.stage("the countries of the continent chosen by arrow keys")
        desktop.screenshot("installer-8-country")
        check(desktop.clicks == clicks, "the console must have had the keyboard without a click")


def make_live_machine(desktop, name):
    kernel, initrd = need("live.vmlinuz", "live.initrd")
    desktop.sandbox.ctl("create", name, "--firmware", "linux", "--kernel", kernel, "--initrd", initrd,
                        "--append", "console=ttyS0", "--memory", "256M", "--cpus", "1")


def start_to_shell(desktop, name):
    desktop.click_item("vmList", name)
    desktop.wait_text("vmName", name, 10)
    desktop.click("actionStart")
    wait_shell(desktop)
    desktop.stage(f"{name}: a shell")


def answer(desktop, text):
    """Types into the console that has the keyboard; returns when the shell has answered."""
    desktop.type(f"echo {text}-$((6 * 7))\n")
    desktop.wait_text("terminal1", f"\n{text}-42", 60)


def window_killed_guests_go_on_and_worker_killed_is_said():
    need("live.vmlinuz", "live.initrd")
    with Desktop() as desktop:
        for name in ("Alpha", "Beta"):
            make_live_machine(desktop, name)
        desktop.run_skep()
        for name in ("Alpha", "Beta"):
            start_to_shell(desktop, name)
            answer(desktop, name)
        workers = {name: worker_pid(desktop, name) for name in ("Alpha", "Beta")}
        desktop.screenshot("crash-1-two-running")

        desktop.skep.kill()
        desktop.skep.wait()
        time.sleep(1)
        check(all(alive(pid) for pid in workers.values()), "a worker went with the window")
        desktop.run_skep()
        shown = desktop.dump()["time"]
        desktop.wait_text("terminal1", "Alpha-42", 10)
        seconds = desktop.dump()["time"] - shown
        desktop.stage(f"history of Alpha {seconds:.2f} s after the window")
        desktop.screenshot("crash-2-attached-again")
        desktop.click_item("vmList", "Beta")
        desktop.wait_text("terminal1", "Beta-42", 10)
        check({name: worker_pid(desktop, name) for name in workers} == workers, "the workers are not the same any more")
        desktop.click("terminal1")
        answer(desktop, "again")

        os.kill(workers["Beta"], signal.SIGKILL)
        killed = time.monotonic()
        desktop.wait_for("crashRestart", 10)
        desktop.wait_for("crashLog", 10)
        desktop.stage(f"the end of Beta's worker said after {time.monotonic() - killed:.2f} s")
        check("stopped unexpectedly" in desktop.text("crashBarTitle"), desktop.text("crashBarTitle"))
        desktop.screenshot("crash-3-stopped-unexpectedly")
        desktop.click("crashLog")
        desktop.wait_for("logDialog")
        desktop.screenshot("crash-4-log")
        desktop.press("Escape")
        desktop.wait("the log closed", lambda: desktop.find("logDialog") is None, 10)
        desktop.click("crashRestart")
        desktop.wait_text("vmState", "Running", 20)
        desktop.wait("a fresh console", lambda: "again-42" not in desktop.text("terminal1"), 20)
        wait_shell(desktop)
        desktop.stage("Beta restarted, a shell")
        check(desktop.find("crashBar") is None, "the message stayed after the restart")
        check(worker_pid(desktop, "Alpha") == workers["Alpha"], "Alpha was not left alone")

        answer(desktop, "restarted")   # the console of a machine just started has the keyboard
        time.sleep(2)   # acpid starts together with the shell
        desktop.click("stopButton")
        desktop.settled(lambda: desktop.find("actionShutDown"), "the Stop menu", 10)
        desktop.screenshot("crash-5-stop-menu")
        desktop.click("actionShutDown")
        desktop.wait_text("vmState", "Off", 60)
        desktop.stage("Beta shut down by its power button")
        time.sleep(0.5)
        desktop.screenshot("crash-6-off")


def sheets_refuse_save_and_delete():
    (iso,) = need("live.iso")
    with Desktop() as desktop:
        broken = offer(desktop, iso, "truncated.iso")
        data = iso.read_bytes()[:1 << 20]
        broken.unlink()
        broken.write_bytes(data)
        elsewhere = desktop.sandbox.path / "elsewhere"
        elsewhere.mkdir()
        shutil.copy(iso, elsewhere / "small.iso")
        desktop.run_skep()

        desktop.click("newButton")
        desktop.click_item("mediaList", "truncated.iso")
        problem = desktop.wait("the refusal", lambda: desktop.text("mediumProblem"), 20)
        check("truncated" in problem and "truncated.iso" in problem, problem)
        desktop.wait("the buttons off", lambda: not desktop.enabled("createAndStart"), 10)
        check(not desktop.enabled("createOnly"), "Create is offered for a truncated image")
        desktop.stage(f"refused: {problem}")
        desktop.screenshot("sheets-1-truncated")

        desktop.click("chooseFile")
        desktop.wait_for("filePicker")
        time.sleep(0.5)
        desktop.screenshot("sheets-2-file-picker")
        desktop.type(elsewhere / "small.iso")
        time.sleep(0.5)
        desktop.press("Return")   # takes the completion, when one is offered
        time.sleep(0.5)
        if desktop.find("filePicker"):
            desktop.press("Return")
        desktop.wait("Create enabled", lambda: desktop.enabled("createOnly"), 20)
        check(desktop.find("mediumProblem") is None, "the refusal stayed for a good image")
        name = desktop.text("field_name")
        desktop.screenshot("sheets-3-good-image")
        desktop.click("createOnly")
        desktop.wait("the machine", lambda: desktop.item("vmList", name), 20)
        desktop.wait("the sheet closed", lambda: desktop.find("newSheet") is None, 10)
        spec = machine_folder(desktop, name) / "vm.yaml"
        check(spec.exists() and str(elsewhere / "small.iso") in spec.read_text(), "vm.yaml does not name the CD image")
        desktop.stage(f"'{name}' created, not started")
        desktop.screenshot("sheets-4-created")

        desktop.click("actionSettings")
        desktop.click_item("settingsPages", "System")
        desktop.click("field_memory")
        desktop.replace_text("389")
        desktop.press("Tab")
        time.sleep(0.5)
        desktop.screenshot("sheets-5-settings")
        desktop.click("settingsSave")
        desktop.wait("memory in vm.yaml", lambda: re.search(r"memory: *389", spec.read_text()), 20)
        desktop.stage("memory saved")

        desktop.press("alt+m")
        desktop.click("menuDelete")
        desktop.settled(lambda: desktop.item("deleteFiles", "vm.yaml"), "the list of files", 20)
        desktop.screenshot("sheets-6-delete")
        desktop.click("confirmDelete")
        desktop.wait("the folder gone", lambda: not spec.exists(), 20)
        desktop.settled(lambda: desktop.find("undoDelete"), "Undo", 20)
        desktop.screenshot("sheets-7-undo")
        desktop.click("undoDelete")
        desktop.wait("the folder back", spec.exists, 20)
        desktop.wait("the machine back", lambda: desktop.item("vmList", name), 20)
        desktop.stage("deleted and brought back")


def small_linux_runs_after_one_click():
    with Desktop() as desktop:
        kernels = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "skep" / "kernel"
        if kernels.is_dir():   # saves the download
            (desktop.sandbox.path / "cache" / "skep").mkdir()
            shutil.copytree(kernels, desktop.sandbox.path / "cache" / "skep" / "kernel")
        desktop.run_skep()
        desktop.click("tryButton")
        desktop.wait_for("jobText", 10)
        desktop.screenshot("try-1-making")
        desktop.wait("a running machine", lambda: "Running" in desktop.text("vmState"), 180)
        desktop.stage("made and started")
        wait_shell(desktop)
        desktop.stage("a shell")
        check(desktop.clicks == 1 and desktop.keys == 0, f"{desktop.clicks} clicks, {desktop.keys} keys")
        answer(desktop, "small")
        desktop.screenshot("try-2-shell")
        desktop.type("poweroff\n")
        desktop.wait_text("vmState", "Off", 60)
        desktop.stage("powered off")


main(installer_runs_after_three_clicks, window_killed_guests_go_on_and_worker_killed_is_said,
     sheets_refuse_save_and_delete, small_linux_runs_after_one_click)
