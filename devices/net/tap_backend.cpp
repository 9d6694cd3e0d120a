// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/tap_backend.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/net/offload.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

constexpr size_t k_place_bytes = sizeof(NetHeader) + net::k_most_frame_bytes + 1;  // one byte more tells of what is too long
constexpr unsigned k_most_rounds = 8;  // of reading, before others get their turn
constexpr size_t k_most_pieces = 1024;  // IOV_MAX

}  // namespace

Result<std::shared_ptr<TapBackend>> TapBackend::start(NetThread& thread, Fd tap) {
    std::shared_ptr<TapBackend> backend(new TapBackend(thread, std::move(tap)));
    if (Status good = backend->set_up(); !good) {
        return tl::unexpected(good.error());
    }
    thread.run([&] {
        backend->m_events = EPOLLIN;
        thread.loop().add(backend->m_fd.get(), EPOLLIN, [self = backend.get()](uint32_t events) { self->on_events(events); });
    });
    return backend;
}

Status TapBackend::set_up() {
    ifreq request{};
    if (!m_fd || ioctl(m_fd.get(), TUNGETIFF, &request) != 0 || (request.ifr_flags & IFF_TAP) == 0) {
        return fail(ErrorKind::invalid_input, "The network card was given something that is no tap; choose a tap or a bridge of this host.");
    }
    const bool extra = (request.ifr_flags & IFF_NO_PI) == 0;
    if (extra) {
        return fail(ErrorKind::unsupported, "The tap puts four bytes of its own in front of frames; open it with IFF_NO_PI.");
    }
    const int header_bytes = sizeof(NetHeader);
    const int on = 1;
    const bool offers_header = (static_cast<unsigned>(request.ifr_flags) & IFF_VNET_HDR) != 0;
    if (offers_header && (ioctl(m_fd.get(), TUNSETVNETHDRSZ, &header_bytes) != 0 || ioctl(m_fd.get(), TUNSETVNETLE, &on) != 0)) {
        return fail_errno(errno, "Setting up the tap");
    }
    m_header_bytes = offers_header ? sizeof(NetHeader) : 0;
    fcntl(m_fd.get(), F_SETFL, fcntl(m_fd.get(), F_GETFL) | O_NONBLOCK);
    m_received.resize(k_batch * k_place_bytes);
    m_frames.reserve(k_batch);
    m_frame_pieces.resize(k_batch);
    return {};
}

TapBackend::~TapBackend() {
    m_thread.run([this] {
        if (!m_gone) {
            m_thread.loop().remove(m_fd.get());
        }
    });
}

void TapBackend::set_offloads(const NetOffloads& offloads) {
    if (!has_header()) {
        return;
    }
    const unsigned flags = (offloads.checksum ? TUN_F_CSUM : 0U) | (offloads.tcp4 ? TUN_F_TSO4 : 0U) |
                           (offloads.tcp6 ? TUN_F_TSO6 : 0U) | (offloads.ecn && offloads.tcp4 ? TUN_F_TSO_ECN : 0U);
    // What a kernel refuses it does itself; the cable helps with what comes all the same.
    ioctl(m_fd.get(), TUNSETOFFLOAD, static_cast<unsigned long>(flags));
}

TapBackend::Sent TapBackend::write_pieces(std::span<const iovec> pieces) {
    while (writev(m_fd.get(), pieces.data(), static_cast<int>(pieces.size())) < 0) {
        if (errno == EAGAIN) {
            return Sent::no_room;
        }
        if (errno != EINTR) {
            return Sent::taken;  // the interface is down, or the kernel does not like the header: lost
        }
    }
    return Sent::taken;
}

TapBackend::Sent TapBackend::send_one(const NetFrame& frame) {
    NetHeader header = frame.header;
    m_pieces.clear();
    if (has_header()) {
        m_pieces.push_back({&header, sizeof header});
    }
    const bool is_plain = header.flags == 0 && header.gso_type == net::k_gso_none;
    if ((has_header() || is_plain) && m_pieces.size() + frame.pieces.size() <= k_most_pieces) {
        m_pieces.insert(m_pieces.end(), frame.pieces.begin(), frame.pieces.end());
        return write_pieces(m_pieces);
    }
    m_scratch.resize(frame.bytes);
    copy_front(frame, m_scratch);
    if (has_header()) {
        m_pieces.push_back({m_scratch.data(), m_scratch.size()});
        return write_pieces(m_pieces);
    }
    // When there is no room for the first of its segments it is tried again; what follows a segment that was taken is lost.
    Sent first = Sent::taken;
    bool is_first = true;
    [[maybe_unused]] const bool possible = make_plain(m_scratch, header, [&](std::span<const uint8_t> plain) {
        const iovec piece{const_cast<uint8_t*>(plain.data()), plain.size()};
        if (first == Sent::taken) {
            const Sent now = write_pieces(std::span(&piece, 1));
            first = std::exchange(is_first, false) ? now : first;
        }
    });
    return first;
}

size_t TapBackend::send(std::span<const NetFrame> frames) {
    for (size_t index = 0; index < frames.size(); ++index) {
        if (send_one(frames[index]) == Sent::no_room) {
            const std::lock_guard lock(m_mutex);
            m_wants_room = true;
            if (!std::exchange(m_asked, true)) {
                m_thread.loop().post([this] { update_events(); });
            }
            return index;
        }
    }
    return frames.size();
}

void TapBackend::sink_ready() {
    m_thread.loop().post([this] {
        if (!m_reads) {
            m_reads = true;
            read();
            update_events();
        }
    });
}

void TapBackend::update_events() {
    uint32_t events = m_reads ? static_cast<uint32_t>(EPOLLIN) : 0U;
    {
        const std::lock_guard lock(m_mutex);
        m_asked = false;
        events |= m_wants_room ? static_cast<uint32_t>(EPOLLOUT) : 0U;
    }
    if (events != m_events && !m_gone) {
        m_events = events;
        m_thread.loop().modify(m_fd.get(), events);
    }
}

void TapBackend::on_events(uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
        {
            const std::lock_guard lock(m_mutex);
            m_wants_room = false;
        }
        if (m_sink != nullptr) {
            m_sink->room();
        }
    }
    if ((events & EPOLLIN) != 0 && m_reads) {
        read();
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        log_warning("network: the tap was taken away from this host; the guest is cut off until its card is connected elsewhere");
        m_gone = true;
        m_thread.loop().remove(m_fd.get());
    }
    update_events();
}

void TapBackend::read() {
    for (unsigned round = 0; round < k_most_rounds; ++round) {
        if (!deliver()) {
            m_reads = false;
            return;
        }
        if (!fill()) {
            return;
        }
    }
    m_reads = deliver();
}

// True: some frames were read.
bool TapBackend::fill() {
    m_frames.clear();
    m_first = 0;
    bool some = false;
    for (size_t count = 0; count < k_batch; ++count) {
        uint8_t* const place = &m_received[m_frames.size() * k_place_bytes];
        const ssize_t got = ::read(m_fd.get(), place, k_place_bytes);
        if (got < 0) {
            break;
        }
        some = true;
        const size_t bytes = static_cast<size_t>(got) - std::min(static_cast<size_t>(got), m_header_bytes);
        NetFrame frame;
        if (has_header()) {
            std::memcpy(&frame.header, place, sizeof frame.header);
            frame.header.num_buffers = 0;
        }
        if (bytes < net::k_header_bytes || bytes > net::k_most_frame_bytes ||
            !header_is_sound(frame.header, static_cast<uint32_t>(bytes))) {
            continue;
        }
        frame.bytes = static_cast<uint32_t>(bytes);
        iovec& piece = m_frame_pieces[m_frames.size()];
        piece = {place + m_header_bytes, bytes};
        frame.pieces = std::span(&piece, 1);
        m_frames.push_back(frame);
    }
    return some;
}

// False: some are left, and the sink says when it takes them.
bool TapBackend::deliver() {
    const auto left = std::span(m_frames).subspan(m_first);
    m_first += m_sink == nullptr || left.empty() ? left.size() : std::min(m_sink->receive(left), left.size());
    return m_first == m_frames.size();
}

}  // namespace skep
