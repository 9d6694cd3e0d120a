// SPDX-License-Identifier: GPL-3.0-or-later
// What the back ends that live on the network thread have in common: whom they call, and that it is from there.
#pragma once

#include "devices/net/net_backend.hpp"
#include "devices/net/net_thread.hpp"

namespace skep {

// Whoever derives from it must, when it ends, let what was posted before run first (NetThread::run).
class ThreadedBackend : public NetBackend {
  public:
    ThreadedBackend(const ThreadedBackend&) = delete;
    ThreadedBackend& operator=(const ThreadedBackend&) = delete;

    // NetBackend
    void attach(NetSink* sink) final {
        m_thread.run([&] { m_sink = sink; });
    }
    void request_room() final {
        m_thread.loop().post([this] {
            if (m_sink != nullptr) {
                m_sink->room();
            }
        });
    }

  protected:
    explicit ThreadedBackend(NetThread& thread) : m_thread(thread) {}

    NetThread& m_thread;
    NetSink* m_sink = nullptr;  // network thread
};

}  // namespace skep
