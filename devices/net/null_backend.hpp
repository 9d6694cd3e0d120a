// SPDX-License-Identifier: GPL-3.0-or-later
// A cable that ends nowhere: what is sent is lost, and nothing arrives. It is a back end like the others, so that a card
// which asks to be called again (after many frames at once) is.
#pragma once

#include "devices/net/threaded_backend.hpp"

namespace skep {

class NullBackend final : public ThreadedBackend {
  public:
    explicit NullBackend(NetThread& thread) : ThreadedBackend(thread) {}
    ~NullBackend() override {
        m_thread.run([] {});
    }

    // NetBackend
    size_t send(std::span<const NetFrame> frames) override { return frames.size(); }
    void sink_ready() override {}
};

}  // namespace skep
