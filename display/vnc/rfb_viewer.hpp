// SPDX-License-Identifier: GPL-3.0-or-later
// RfbViewer: one connected viewer on a thread of its own, so that a slow one delays nobody else.
#pragma once

#include <functional>
#include <thread>

#include "display/vnc/rfb_session.hpp"

namespace skep {

class RfbViewer {
  public:
    // Screen and hub live longer. `gone` is the thread's last act.
    RfbViewer(Screen& screen, InputHub& input, RfbSession::Config config, std::function<void()> gone);
    ~RfbViewer();  // hangs up and waits for the thread
    RfbViewer(const RfbViewer&) = delete;
    RfbViewer& operator=(const RfbViewer&) = delete;

  private:
    void serve(RfbSession& session) const;

    Fd m_socket;  // another descriptor of the connection: to wait for it, and to hang up from outside
    std::thread m_thread;
};

}  // namespace skep
