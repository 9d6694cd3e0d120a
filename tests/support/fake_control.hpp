// SPDX-License-Identifier: GPL-3.0-or-later
// FakeMachineControl: a machine that only remembers what it was asked.
#pragma once

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "vmm/control/machine_control.hpp"
#include "vmm/control/screen_control.hpp"

namespace skep {

class FakeScreenControl : public ScreenControl {
  public:
    Result<Fd> open_viewer() override {
        std::array<int, 2> pair{};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
            return fail_errno(errno, "Cannot make a socket pair");
        }
        m_viewers.emplace_back(pair[0]);
        return Fd(pair[1]);
    }
    Result<ScreenState> state() override { return ScreenState{720, 400, true, false}; }
    Result<ScreenShot> shoot() override {
        const std::array<uint32_t, 6> pixels{0xff0000, 0x00ff00, 0x0000ff, 0xffffff, 0x000000, 0x123456};
        Fd file(memfd_create("screenshot", MFD_CLOEXEC));
        if (write(file.get(), pixels.data(), sizeof pixels) != static_cast<ssize_t>(sizeof pixels)) {
            return fail_errno(errno, "Cannot write");
        }
        return ScreenShot{std::move(file), 3, 2};
    }
    Result<ScreenText> text() override { return ScreenText{m_text, 80, 25, 7, 1}; }
    Status resize(uint32_t width, uint32_t height) override {
        m_asked.push_back(fmt::format("resize {}x{}", width, height));
        return {};
    }
    Result<uint64_t> send_keys(const std::string& chords, uint64_t hold_ms) override {
        return remember(fmt::format("keys {} {}", chords, hold_ms));
    }
    Result<uint64_t> type_text(const std::string& text) override { return remember("type " + text); }
    Result<uint64_t> click(uint32_t x, uint32_t y, const std::string& button) override {
        return remember(fmt::format("click {} {} {}", x, y, button));
    }

    std::vector<Fd> m_viewers;
    std::vector<std::string> m_asked;
    std::string m_text = "Welcome to the guest\ngrub> ls\n";

  private:
    Result<uint64_t> remember(std::string what) {
        m_text += what + "\n";  // so that another process sees it on the screen
        m_asked.push_back(std::move(what));
        return 5;
    }
};

class FakeMachineControl : public MachineControl {
  public:
    MachineStatus status() override { return {m_state, "because", 1234, "interp", "no KVM"}; }
    Status pause() override { return remember("pause", MachineState::paused); }
    Status resume() override { return remember("resume", MachineState::running); }
    Status power_button() override { return remember("power_button", m_state); }
    Status power_off() override { return remember("power_off", MachineState::stopped); }
    Status reset() override { return remember("reset", m_state); }
    Status eject(const std::string& drive) override {
        if (drive == "cd9") {
            return fail(ErrorKind::not_found, "The machine has no CD drive 'cd9'.");
        }
        return remember("eject " + drive, m_state);
    }
    Status insert(const std::string& drive, const std::string& file) override {
        return remember("insert " + drive + " " + file, m_state);
    }
    Status resize_disk(const std::string& disk, uint64_t size) override {
        return remember("resize " + disk + " " + std::to_string(size), m_state);
    }
    Result<std::string> attach_stick(const std::string& file, StickAccess access, const std::string& id) override {
        m_asked.push_back("attach " + file + (access == StickAccess::read_only ? " read-only " : " ") + id);
        m_sticks.push_back({id.empty() ? "usb0" : id, file, access});
        return m_sticks.back().id;
    }
    Result<std::string> detach_stick(const std::string& id) override {
        if (m_sticks.empty()) {
            return fail(ErrorKind::not_found, "There is no USB stick '{}'.", id);
        }
        const std::string found = m_sticks.back().id;
        m_sticks.pop_back();
        return found;
    }
    std::vector<StickInfo> sticks() override { return m_sticks; }
    Status retry() override { return remember("retry", MachineState::running); }
    ScreenControl* screen() override { return m_has_screen ? &m_screen : nullptr; }
    std::string info_json() override {
        m_asked.emplace_back("info");
        return m_infos_without_use != 0 && m_infos_without_use-- != 0 ? R"({"disks": [{"id": "disk0"}]})" : m_info;
    }

    MachineState m_state = MachineState::running;
    unsigned m_infos_without_use = 0;  // so often it does not know what its disks use
    std::string m_info = R"({"disks": [{"id": "disk0", "written": 42}]})";
    std::vector<std::string> m_asked;
    std::vector<StickInfo> m_sticks;
    bool m_has_screen = true;
    FakeScreenControl m_screen;

  protected:
    virtual Status remember(const std::string& what, MachineState state) {
        m_asked.push_back(what);
        m_state = state;
        return {};
    }
};

}  // namespace skep
