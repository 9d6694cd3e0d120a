// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/frame_stream.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace skep {
namespace {

constexpr uint32_t k_frame = 0;
constexpr uint32_t k_text = 1;
constexpr size_t k_words = 8;  // bytes in front of each message
constexpr size_t k_receive_bytes = 512 * 1024;
constexpr int k_socket_bytes = 1024 * 1024;
constexpr size_t k_most_pieces = 1024;  // IOV_MAX

struct Front {
    uint32_t length;
    uint32_t kind;
    NetHeader header;
};
static_assert(sizeof(Front) == k_words + sizeof(NetHeader));

Front front_of(const NetFrame& frame) {
    return {static_cast<uint32_t>(sizeof(NetHeader)) + frame.bytes, k_frame, frame.header};
}

// What nobody here knows is not passed on: a guest's driver would see it.
NetHeader known_parts(NetHeader header) {
    header.flags &= net::k_needs_csum | net::k_data_valid;
    header.gso_type = header.gso_type == net::k_gso_ecn ? net::k_gso_none : header.gso_type;
    header.num_buffers = 0;
    return header;
}

void append(std::vector<uint8_t>& to, const void* from, size_t size) {
    const auto* const bytes = static_cast<const uint8_t*>(from);
    to.insert(to.end(), bytes, bytes + size);
}

}  // namespace

FrameStream::FrameStream(Fd socket) : m_fd(std::move(socket)), m_received(std::make_unique_for_overwrite<uint8_t[]>(k_receive_bytes)) {
    setsockopt(m_fd.get(), SOL_SOCKET, SO_SNDBUF, &k_socket_bytes, sizeof k_socket_bytes);  // as far as the host allows
}

bool FrameStream::flush() {
    while (has_unsent()) {
        const ssize_t sent = ::send(m_fd.get(), &m_unsent[m_unsent_from], unsent_bytes(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EAGAIN) {  // the peer is gone, which the reading side finds out
                m_unsent.clear();
                m_unsent_from = 0;
            }
            return has_unsent();
        }
        m_unsent_from += static_cast<size_t>(sent);
    }
    m_unsent.clear();
    m_unsent_from = 0;
    return false;
}

void FrameStream::keep(const NetFrame& frame) {
    const Front front = front_of(frame);
    append(m_unsent, &front, sizeof front);
    for (const iovec& piece : frame.pieces) {
        append(m_unsent, piece.iov_base, piece.iov_len);
    }
}

void FrameStream::send_text(std::string_view text) {
    const std::array<uint32_t, 2> words{static_cast<uint32_t>(std::min<size_t>(text.size(), k_most_text_bytes)), k_text};
    append(m_unsent, words.data(), k_words);
    append(m_unsent, text.data(), words[0]);
    flush();
}

size_t FrameStream::send(std::span<const NetFrame> frames) {
    if (flush()) {
        return 0;
    }
    std::array<Front, k_batch> fronts;
    size_t taken = 0;
    while (taken < frames.size()) {
        m_pieces.clear();
        size_t count = 0;
        for (; count < k_batch && taken + count < frames.size(); ++count) {
            const NetFrame& frame = frames[taken + count];
            if (count != 0 && m_pieces.size() + frame.pieces.size() + 1 > k_most_pieces) {
                break;
            }
            fronts[count] = front_of(frame);
            m_pieces.push_back({&fronts[count], sizeof(Front)});
            m_pieces.insert(m_pieces.end(), frame.pieces.begin(), frame.pieces.end());
        }
        msghdr message{};
        message.msg_iov = m_pieces.data();
        message.msg_iovlen = m_pieces.size();
        ssize_t sent = sendmsg(m_fd.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != EMSGSIZE) {
            return frames.size();  // the peer is gone: what is sent to nobody is sent
        }
        sent = std::max<ssize_t>(sent, 0);
        for (size_t index = 0; index < count; ++index) {
            const NetFrame& frame = frames[taken + index];
            const auto whole = static_cast<ssize_t>(sizeof(Front) + frame.bytes);
            if (sent >= whole) {
                sent -= whole;
                continue;
            }
            if (sent == 0) {
                return taken + index;
            }
            keep(frame);
            m_unsent_from = static_cast<size_t>(sent);
            return taken + index + 1;
        }
        taken += count;
    }
    return taken;
}

FrameStream::Fill FrameStream::fill() {
    if (m_from != 0) {
        std::memmove(m_received.get(), &m_received[m_from], m_to - m_from);
        m_to -= m_from;
        m_from = 0;
    }
    if (m_to == k_receive_bytes) {
        return Fill::nothing;
    }
    const ssize_t got = recv(m_fd.get(), &m_received[m_to], k_receive_bytes - m_to, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? Fill::nothing : Fill::closed;
    }
    m_to += static_cast<size_t>(got);
    return got == 0 ? Fill::closed : Fill::some;
}

// False: some were refused.
bool FrameStream::flush_batch(const TakeFrames& frames) {
    for (size_t index = 0; index < m_batch.size(); ++index) {
        m_batch[index].pieces = std::span(&m_batch_pieces[index], 1);
    }
    const size_t taken = m_batch.empty() ? 0 : std::min(frames(m_batch), m_batch.size());
    for (size_t index = 0; index < taken; ++index) {
        m_from += sizeof(Front) + m_batch[index].bytes;
    }
    m_stopped = taken < m_batch.size();
    m_batch.clear();
    m_batch_pieces.clear();
    return !m_stopped;
}

bool FrameStream::take(const TakeFrames& frames, const TakeText& text) {
    m_stopped = false;
    size_t at = m_from;
    while (m_to - at >= k_words) {
        Message message;
        std::memcpy(&message, &m_received[at], sizeof message);
        const bool is_frame = message.kind == k_frame;
        const uint32_t least = is_frame ? sizeof(NetHeader) + net::k_header_bytes : 0;
        const uint32_t most = is_frame ? sizeof(NetHeader) + net::k_most_frame_bytes : k_most_text_bytes;
        if (message.kind > k_text || message.length < least || message.length > most) {
            return false;
        }
        if (m_to - at < k_words + message.length) {
            break;
        }
        uint8_t* const body = &m_received[at + k_words];
        at += k_words + message.length;
        if (is_frame) {
            NetFrame frame;
            std::memcpy(&frame.header, body, sizeof frame.header);
            frame.header = known_parts(frame.header);
            frame.bytes = message.length - static_cast<uint32_t>(sizeof(NetHeader));
            m_batch.push_back(frame);
            m_batch_pieces.push_back({body + sizeof(NetHeader), frame.bytes});
        }
        if ((!is_frame || m_batch.size() == k_batch) && !flush_batch(frames)) {
            return true;
        }
        if (!is_frame) {
            text({reinterpret_cast<const char*>(body), message.length});
            m_from = at;
        }
    }
    [[maybe_unused]] const bool all = flush_batch(frames);
    return true;
}

}  // namespace skep
