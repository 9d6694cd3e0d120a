// SPDX-License-Identifier: GPL-3.0-or-later
// The card's end of a network back end: keeps what arrives, or refuses it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "devices/net/net_backend.hpp"

namespace skep::test {

inline constexpr std::chrono::seconds k_net_patience{60};  // a crowded host

class NetCollector final : public NetSink {
  public:
    using Bytes = std::vector<uint8_t>;

    size_t receive(std::span<const NetFrame> frames) override {
        const std::lock_guard lock(m_mutex);
        for (const NetFrame& frame : m_refuses ? frames.first(0) : frames) {
            Bytes& bytes = m_frames.emplace_back();
            for (const iovec& piece : frame.pieces) {
                const auto* const from = static_cast<const uint8_t*>(piece.iov_base);
                bytes.insert(bytes.end(), from, from + piece.iov_len);
            }
            m_headers.push_back(frame.header);
        }
        m_changed.notify_all();
        return m_refuses ? 0 : frames.size();
    }
    void room() override {
        const std::lock_guard lock(m_mutex);
        ++m_rooms;
        m_changed.notify_all();
    }
    void refuse(bool on) {
        const std::lock_guard lock(m_mutex);
        m_refuses = on;
    }
    // The first frame that fits, or an empty one when time is up.
    Bytes wait_for(const std::function<bool(const Bytes&)>& fits) {
        std::unique_lock lock(m_mutex);
        Bytes found;
        m_changed.wait_for(lock, k_net_patience, [&] {
            for (const Bytes& frame : m_frames) {
                found = found.empty() && fits(frame) ? frame : found;
            }
            return !found.empty();
        });
        return found;
    }
    bool wait_for_rooms(unsigned count) {
        std::unique_lock lock(m_mutex);
        return m_changed.wait_for(lock, k_net_patience, [&] { return m_rooms >= count; });
    }
    unsigned rooms() {
        const std::lock_guard lock(m_mutex);
        return m_rooms;
    }
    std::vector<Bytes> frames() {
        const std::lock_guard lock(m_mutex);
        return m_frames;
    }
    std::vector<NetHeader> headers() {
        const std::lock_guard lock(m_mutex);
        return m_headers;
    }

  private:
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::vector<Bytes> m_frames;
    std::vector<NetHeader> m_headers;
    bool m_refuses = false;
    unsigned m_rooms = 0;
};

// One frame from the card's side; how many were taken.
inline size_t send_one(NetBackend& backend, const std::vector<uint8_t>& bytes, NetHeader header = {}) {
    const iovec piece{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    const NetFrame frame{.header = header, .pieces = std::span(&piece, 1), .bytes = static_cast<uint32_t>(bytes.size())};
    return backend.send(std::span(&frame, 1));
}

}  // namespace skep::test
