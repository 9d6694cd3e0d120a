// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/net_cable.hpp"

#include <algorithm>
#include <array>

#include "devices/net/offload.hpp"

namespace skep {
namespace {

uint64_t bytes_of(std::span<const NetFrame> frames) {
    uint64_t bytes = 0;
    for (const NetFrame& frame : frames) {
        bytes += frame.bytes;
    }
    return bytes;
}

}  // namespace

NetCable::~NetCable() { connect(nullptr); }

void NetCable::set_card(NetCard* card) {
    if (card == nullptr) {
        connect(nullptr);  // its thread is not in the card any more
    }
    m_card = card;
}

std::shared_ptr<NetBackend> NetCable::backend() const {
    const std::lock_guard lock(m_mutex);
    return m_backend;
}

void NetCable::connect(std::shared_ptr<NetBackend> backend) {
    if (const auto before = this->backend()) {
        before->attach(nullptr);
    }
    NetOffloads offloads;
    {
        const std::lock_guard lock(m_mutex);
        m_backend = backend;
        m_addresses = {};  // it had those on another network
        offloads = m_offloads;
    }
    if (backend) {
        backend->set_offloads(offloads);
        backend->attach(this);
        backend->request_room();  // the card may wait for the one before
    }
}

void NetCable::set_offloads(const NetOffloads& offloads) {
    std::shared_ptr<NetBackend> backend;
    {
        const std::lock_guard lock(m_mutex);
        m_offloads = offloads;
        backend = m_backend;
    }
    if (backend) {
        backend->set_offloads(offloads);
    }
}

void NetCable::set_link(Link link) {
    if (m_is_up.exchange(link == Link::up) != (link == Link::up) && m_card != nullptr) {
        m_card->link_changed();
    }
}

size_t NetCable::send(std::span<const NetFrame> frames) {
    note_addresses(frames);
    const auto backend = is_up() ? this->backend() : nullptr;
    if (!backend) {
        m_dropped += frames.size();
        return frames.size();
    }
    const size_t taken = std::min(backend->send(frames), frames.size());
    m_frames_sent += taken;
    m_bytes_sent += bytes_of(frames.first(taken));
    return taken;
}

void NetCable::note_addresses(std::span<const NetFrame> frames) {
    std::array<uint8_t, GuestAddresses::k_look_at> front;
    const std::lock_guard lock(m_mutex);
    for (const NetFrame& frame : frames) {
        m_addresses.note(std::span(front).first(copy_front(frame, front)));
    }
}

void NetCable::note_answer(const NetFrame& frame) {
    const iovec& first = frame.pieces.front();
    const std::span front(static_cast<const uint8_t*>(first.iov_base), first.iov_len);
    if (GuestAddresses::may_be_answer(front)) {
        std::array<uint8_t, GuestAddresses::k_look_at_answer> answer;
        const size_t bytes = copy_front(frame, answer);
        const std::lock_guard lock(m_mutex);
        m_addresses.note_answer(std::span(answer).first(bytes));
    }
}

GuestAddresses NetCable::addresses() const {
    const std::lock_guard lock(m_mutex);
    return m_addresses;
}

void NetCable::request_room() {
    if (const auto backend = this->backend()) {
        backend->request_room();
    }
}

void NetCable::card_ready() {
    if (const auto backend = this->backend()) {
        backend->sink_ready();
    }
}

void NetCable::room() { m_card->room_made(); }

bool NetCable::fits(const NetHeader& header, const NetOffloads& offloads) const {
    if ((header.flags & (net::k_needs_csum | net::k_data_valid)) != 0 && !offloads.checksum) {
        return false;
    }
    switch (header.gso_type & ~net::k_gso_ecn) {
        case net::k_gso_none: return true;
        case net::k_gso_tcp4: return offloads.tcp4 && (offloads.ecn || (header.gso_type & net::k_gso_ecn) == 0);
        case net::k_gso_tcp6: return offloads.tcp6 && (offloads.ecn || (header.gso_type & net::k_gso_ecn) == 0);
        default: return false;
    }
}

void NetCable::count_received(std::span<const NetFrame> frames) {
    for (const NetFrame& frame : frames) {
        note_answer(frame);
    }
    m_frames_received += frames.size();
    m_bytes_received += bytes_of(frames);
}

size_t NetCable::receive(std::span<const NetFrame> frames) {
    if (!is_up()) {
        m_dropped += frames.size();
        return frames.size();
    }
    NetOffloads offloads;
    {
        const std::lock_guard lock(m_mutex);
        offloads = m_offloads;
    }
    size_t done = 0;
    while (done < frames.size()) {
        size_t good = done;
        while (good < frames.size() && fits(frames[good].header, offloads)) {
            ++good;
        }
        const size_t offered = good - done;
        if (offered != 0) {
            const size_t taken = std::min(m_card->frames_arrived(frames.subspan(done, offered)), offered);
            count_received(frames.subspan(done, taken));
            done += taken;
            if (taken < offered) {
                return done;
            }
        }
        if (done < frames.size()) {
            if (receive_unfit(frames[done]) == 0) {
                return done;
            }
            ++done;
        }
    }
    return done;
}

// A frame whose header asks for more than the card can do. 1 when it was taken; when the card takes only the first of its
// segments the rest is lost, as in a switch that is short of memory.
size_t NetCable::receive_unfit(const NetFrame& frame) {
    std::vector<uint8_t> bytes(frame.bytes);
    copy_front(frame, bytes);
    const auto give = [&](std::span<const uint8_t> plain) {
        const iovec piece{const_cast<uint8_t*>(plain.data()), plain.size()};
        const NetFrame one{.header = {}, .pieces = std::span(&piece, 1), .bytes = static_cast<uint32_t>(plain.size())};
        const size_t taken = m_card->frames_arrived(std::span(&one, 1));
        count_received(std::span(&one, taken));
        return taken;
    };
    unsigned given = 0;
    unsigned lost = 0;
    const bool possible = make_plain(bytes, frame.header, [&](std::span<const uint8_t> plain) {
        ++(lost == 0 && give(plain) == 1 ? given : lost);
    });
    if (possible && given == 0 && lost != 0) {
        return 0;  // the whole frame later
    }
    m_dropped += possible ? lost : 1;
    return 1;
}

NetCounters NetCable::counters() const {
    return {m_frames_sent.load(), m_bytes_sent.load(), m_frames_received.load(), m_bytes_received.load(), m_dropped.load()};
}

}  // namespace skep
