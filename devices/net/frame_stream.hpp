// SPDX-License-Identifier: GPL-3.0-or-later
// Frames and short texts over a stream socket between two processes of ours, many in one system call.
// On the wire, little-endian: uint32 length of what follows the two words; uint32 kind; then a NetHeader and the frame's
// bytes (kind 0), or a text (kind 1). The peer's bytes are hostile: what does not fit is malformed and ends the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/net/net_frame.hpp"
#include "vmm/base/fd.hpp"

namespace skep {

class FrameStream {
  public:
    static constexpr uint32_t k_most_text_bytes = 64 * 1024;
    static constexpr size_t k_batch = 64;  // frames in one call

    explicit FrameStream(Fd socket);
    [[nodiscard]] int fd() const { return m_fd.get(); }

    // --- out: one thread at a time (the owner's lock) ------------------------------------------------
    // Never waits. Returns how many frames were taken, the last of them perhaps kept here in part.
    size_t send(std::span<const NetFrame> frames);
    // Always taken: what the socket has no room for is kept here. For senders that bound how much they keep themselves.
    void send_text(std::string_view text);
    void keep(const NetFrame& frame);
    // Sends what is kept. Whether anything is left: then wait for EPOLLOUT.
    bool flush();
    [[nodiscard]] bool has_unsent() const { return m_unsent_from < m_unsent.size(); }
    [[nodiscard]] size_t unsent_bytes() const { return m_unsent.size() - m_unsent_from; }

    // --- in: one thread -----------------------------------------------------------------------
    enum class Fill { some, nothing, closed };
    Fill fill();  // one receive call; nothing: there was nothing, or no room before what is here has been taken
    // Gives what has arrived to `frames` in batches (which returns how many it took) and to `text`. False: malformed.
    // Stops where frames are refused; stopped() then, and the next call begins there.
    using TakeFrames = std::function<size_t(std::span<const NetFrame>)>;
    using TakeText = std::function<void(std::string_view)>;
    [[nodiscard]] bool take(const TakeFrames& frames, const TakeText& text);
    [[nodiscard]] bool stopped() const { return m_stopped; }

  private:
    struct Message {
        uint32_t length = 0;
        uint32_t kind = 0;
    };
    [[nodiscard]] bool flush_batch(const TakeFrames& frames);

    Fd m_fd;
    std::vector<uint8_t> m_unsent;
    size_t m_unsent_from = 0;
    std::unique_ptr<uint8_t[]> m_received;  // not filled: what never arrives costs no memory
    size_t m_from = 0;  // what has arrived and was not taken: [m_from, m_to)
    size_t m_to = 0;
    bool m_stopped = false;
    std::vector<iovec> m_pieces;
    std::vector<NetFrame> m_batch;
    std::vector<iovec> m_batch_pieces;
};

}  // namespace skep
