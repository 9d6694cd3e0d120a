// SPDX-License-Identifier: GPL-3.0-or-later
// A network back end for tests of cards: keeps what it gets, with room for so many frames, and gives what it is told to.
#pragma once

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "devices/net/net_backend.hpp"

namespace skep::test {

class FakeNet final : public NetBackend {
  public:
    struct Kept {
        NetHeader header;
        std::vector<uint8_t> bytes;
    };
    void attach(NetSink* to) override { sink = to; }
    size_t send(std::span<const NetFrame> frames) override {
        size_t taken = 0;
        for (; taken < frames.size() && sent.size() < room; ++taken) {
            Kept kept{frames[taken].header, {}};
            for (const iovec& piece : frames[taken].pieces) {
                const auto* const bytes = static_cast<const uint8_t*>(piece.iov_base);
                kept.bytes.insert(kept.bytes.end(), bytes, bytes + piece.iov_len);
            }
            sent.push_back(std::move(kept));
        }
        return taken;
    }
    void request_room() override { ++room_requests; }
    void sink_ready() override { ++ready; }
    void set_offloads(const NetOffloads& now) override { offloads = now; }
    bool give(const std::vector<uint8_t>& bytes, NetHeader header = {}) {
        const iovec piece{const_cast<uint8_t*>(bytes.data()), bytes.size()};
        const NetFrame frame{.header = header, .pieces = std::span(&piece, 1), .bytes = static_cast<uint32_t>(bytes.size())};
        return sink->receive(std::span(&frame, 1)) == 1;
    }
    NetSink* sink = nullptr;
    std::vector<Kept> sent;
    size_t room = 1000;
    unsigned room_requests = 0, ready = 0;
    NetOffloads offloads;
};

inline std::vector<uint8_t> frame_to(const std::array<uint8_t, 6>& mac, size_t bytes) {
    std::vector<uint8_t> frame(bytes);
    std::iota(frame.begin(), frame.end(), uint8_t{0});
    std::copy(mac.begin(), mac.end(), frame.begin());
    return frame;
}

}  // namespace skep::test
