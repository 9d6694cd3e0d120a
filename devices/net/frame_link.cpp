// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/frame_link.hpp"

#include <sys/epoll.h>

namespace skep {
namespace {

constexpr unsigned k_most_rounds = 8;  // of reading, before others get their turn

}  // namespace

FrameLink::FrameLink(EventLoop& loop, Fd socket, FrameLinkOwner& owner)
    : m_loop(loop), m_owner(owner), m_stream(std::move(socket)), m_events(EPOLLIN) {
    m_loop.add(m_stream.fd(), m_events, [this, alive = m_alive](uint32_t events) {
        if (*alive) {
            on_events(events);
        }
    });
}

FrameLink::~FrameLink() {
    *m_alive = false;
    m_loop.remove(m_stream.fd());
}

size_t FrameLink::send(std::span<const NetFrame> frames) {
    const std::lock_guard lock(m_mutex);
    const size_t taken = m_stream.send(frames);
    m_wants_room = m_wants_room || taken < frames.size();
    if (m_wants_room || m_stream.has_unsent()) {
        watch_for_room();
    }
    return taken;
}

void FrameLink::send_text(std::string_view text) {
    const std::lock_guard lock(m_mutex);
    m_stream.send_text(text);
    if (m_stream.has_unsent()) {
        watch_for_room();
    }
}

// With the lock.
void FrameLink::watch_for_room() {
    if (m_asked) {
        return;
    }
    m_asked = true;
    m_loop.post([this, alive = m_alive] {
        if (*alive) {
            update_events();
        }
    });
}

void FrameLink::update_events() {
    uint32_t events = m_reads ? static_cast<uint32_t>(EPOLLIN) : 0U;
    {
        const std::lock_guard lock(m_mutex);
        m_asked = false;
        events |= m_wants_room || m_stream.has_unsent() ? static_cast<uint32_t>(EPOLLOUT) : 0U;
    }
    if (events != m_events) {
        m_events = events;
        m_loop.modify(m_stream.fd(), events);
    }
}

void FrameLink::on_events(uint32_t events) {
    const std::shared_ptr<bool> alive = m_alive;
    if ((events & EPOLLOUT) != 0) {
        bool has_room = false;
        {
            const std::lock_guard lock(m_mutex);
            has_room = !m_stream.flush() && m_wants_room;
            m_wants_room = m_wants_room && !has_room;
        }
        if (has_room) {
            m_owner.link_room(*this);
        }
        if (*alive) {
            update_events();
        }
    }
    if (*alive && (events & EPOLLIN) != 0 && m_reads) {
        read();
    } else if (*alive && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        m_owner.link_closed(*this);
    }
}

void FrameLink::read() {
    const std::shared_ptr<bool> alive = m_alive;
    for (unsigned round = 0; round < k_most_rounds; ++round) {
        const FrameStream::Fill fill = m_stream.fill();
        const bool well_formed = m_stream.take([&](std::span<const NetFrame> frames) { return m_owner.link_frames(*this, frames); },
                                               [&](std::string_view text) { m_owner.link_text(*this, text); });
        if (!*alive) {
            return;
        }
        if (!well_formed || fill == FrameStream::Fill::closed) {
            m_owner.link_closed(*this);
            return;
        }
        if (m_stream.stopped()) {
            m_reads = false;
            update_events();
            return;
        }
        if (fill == FrameStream::Fill::nothing) {
            return;
        }
    }
}

void FrameLink::resume_reading() {
    if (!m_reads) {
        m_reads = true;
        const std::shared_ptr<bool> alive = m_alive;
        read();
        if (*alive) {
            update_events();
        }
    }
}

}  // namespace skep
