// SPDX-License-Identifier: GPL-3.0-or-later
// The window of `run --display sdl`: skep-view as a child, on the screen of a worker that has just been started.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class RunWindow {
  public:
    RunWindow() = default;
    ~RunWindow();  // closes it
    RunWindow(const RunWindow&) = delete;
    RunWindow& operator=(const RunWindow&) = delete;

    // Waits until the worker answers on its socket; fails when it ends before (`worker` is its pidfd).
    [[nodiscard]] Status open(const std::filesystem::path& socket, int worker);
    // Readable once the window has closed; -1: there is none.
    [[nodiscard]] int ended() const { return m_ended.get(); }

  private:
    pid_t m_pid = -1;
    Fd m_ended;
};

}  // namespace skep
