// SPDX-License-Identifier: GPL-3.0-or-later
// Address translation by libslirp between a FrameStream and the host's sockets. One thread, in a process of its own.
// The guest's network: 10.0.2.0/24 and fec0::/64, the host at .2, its name server at .3, the first guest at .15.
// Segmentation is left to the ends: the guest's large segments go in whole, and a guest that understands large ones gets
// them (its own announcement of a segment size is raised on the way).
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "devices/nat/net_glass.hpp"
#include "devices/net/frame_stream.hpp"

struct Slirp;

namespace skep {

class NatEngine {
  public:
    explicit NatEngine(Fd socket);
    ~NatEngine();
    NatEngine(const NatEngine&) = delete;
    NatEngine& operator=(const NatEngine&) = delete;

    // Until the peer has gone.
    void run();
    // What the peer says, for tests and fuzzing: "config RESTRICT", "offloads CHECKSUM TCP4 TCP6",
    // "forward NUMBER add|remove FORWARD".
    void on_text(std::string_view text);
    void on_frame(const NetFrame& frame);
    // One round: waits at most so long for something to happen. False: the peer has gone.
    [[nodiscard]] bool step(uint32_t most_milliseconds);

  private:
    struct Callbacks;
    struct Timer;

    void configure(bool restricted);
    void forward(std::string_view words);
    [[nodiscard]] std::string change_forward(std::string_view action, std::string_view text);
    void to_guest(std::span<const uint8_t> frame);
    void raise_segment_size(std::span<uint8_t> frame) const;
    void run_timers();
    void send_report();

    FrameStream m_stream;
    Slirp* m_slirp = nullptr;
    NetOffloads m_offloads;  // what the guest understands
    NetGlass m_glass;
    int64_t m_next_report = 0;  // in ns
    std::vector<std::unique_ptr<Timer>> m_timers;
    std::vector<pollfd> m_polled;
    std::vector<uint8_t> m_frame;
};

}  // namespace skep
