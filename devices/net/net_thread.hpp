// SPDX-License-Identifier: GPL-3.0-or-later
// The thread on which a machine's network back ends live.
#pragma once

#include <functional>
#include <thread>

#include "vmm/base/event_loop.hpp"

namespace skep {

class NetThread {
  public:
    NetThread();
    ~NetThread();

    [[nodiscard]] EventLoop& loop() { return m_loop; }
    // Runs the task on the thread and waits for it. Not from the thread itself; no lock held that a task there takes.
    void run(const std::function<void()>& task);

  private:
    EventLoop m_loop;
    std::thread m_thread;
};

}  // namespace skep
