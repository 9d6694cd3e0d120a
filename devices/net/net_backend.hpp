// SPDX-License-Identifier: GPL-3.0-or-later
// What a network card's cable is plugged into: frames in, frames out, in batches, with back pressure both ways.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "devices/net/net_frame.hpp"

namespace skep {

// Where a back end's frames go. Called on the back end's thread, without locks of the back end.
class NetSink {
  public:
    virtual ~NetSink() = default;
    // Frames from outside. Returns how many were taken; the rest is offered again after NetBackend::sink_ready().
    virtual size_t receive(std::span<const NetFrame> frames) = 0;
    // send() takes frames again, or somebody asked for this call.
    virtual void room() = 0;
};

class NetBackend {
  public:
    virtual ~NetBackend() = default;
    // Null: no call of the sink is under way any more when it returns. Control thread, no gate held.
    virtual void attach(NetSink* sink) = 0;
    // Frames of the guest, any offload in their headers. Never waits. Returns how many were taken; after fewer than all,
    // NetSink::room() tells when to try again. With the card's gate held.
    virtual size_t send(std::span<const NetFrame> frames) = 0;
    // NetSink::room() is to be called soon, from the back end's thread. Any thread.
    virtual void request_room() = 0;
    // The sink takes frames again after receive() refused some. Any thread.
    virtual void sink_ready() = 0;
    // What the sink understands; headers that ask for more cost time there. Any thread.
    virtual void set_offloads(const NetOffloads& /*offloads*/) {}
};

}  // namespace skep
