// SPDX-License-Identifier: GPL-3.0-or-later
// The network card's frames: out of the transmit queues, into the buffers of the receive queues (5.1.6.2 to 5.1.6.4).
#include <algorithm>
#include <mutex>

#include "devices/net/offload.hpp"
#include "devices/virtio/virtio_net_device.hpp"

namespace skep {
namespace {

constexpr size_t k_batch = 64;
constexpr unsigned k_most_batches = 16;  // of one notification; then others get their turn
constexpr uint64_t k_header = sizeof(NetHeader);

// Bytes of a frame's front, as long as they are in its first piece.
std::span<const uint8_t> front_of(const NetFrame& frame) {
    const iovec& first = frame.pieces.front();
    return {static_cast<const uint8_t*>(first.iov_base), first.iov_len};
}

}  // namespace

void VirtioNet::transmit(unsigned pair) {
    Virtqueue* const queue = this->queue(2 * pair + 1);
    if (queue == nullptr) {
        return;
    }
    unsigned budget = k_most_batches;
    bool more = true;
    while (more) {
        if (budget-- == 0) {
            m_cable->request_room();
            break;
        }
        queue->disable_notifications();
        more = transmit_some(pair, *queue) && queue->enable_notifications();
    }
    tell_driver(2 * pair + 1);
}

// False: the back end has no room, and room_made() goes on.
bool VirtioNet::transmit_some(unsigned pair, Virtqueue& queue) {
    std::vector<VirtioChain>& chains = m_transmitters[pair].waiting;
    while (chains.size() < k_batch) {
        auto chain = queue.pop();
        if (!chain) {
            break;
        }
        chains.push_back(std::move(*chain));
    }
    return chains.empty() || send_batch(pair, queue, chains);
}

bool VirtioNet::send_batch(unsigned pair, Virtqueue& queue, std::vector<VirtioChain>& chains) {
    struct Ready {
        bool sound = false;
        size_t first_piece = 0;
        size_t pieces = 0;
    };
    std::vector<Ready> ready(chains.size());
    std::vector<NetFrame> frames;
    frames.reserve(chains.size());
    m_pieces.clear();
    for (size_t index = 0; index < chains.size(); ++index) {
        const VirtioChain& chain = chains[index];
        const uint64_t bytes = chain.readable_bytes();
        const size_t first = m_pieces.size();
        NetFrame frame;
        const bool long_enough = bytes >= k_header + net::k_header_bytes && bytes <= k_header + net::k_most_frame_bytes;
        if (long_enough && chain.read(m_memory, 0, &frame.header, k_header) &&
            may_ask(frame.header) &&
            header_is_sound(frame.header, static_cast<uint32_t>(bytes - k_header)) &&
            chain.slices(m_memory, VirtioChain::Part::readable, k_header, bytes - k_header, m_pieces)) {
            frame.bytes = static_cast<uint32_t>(bytes - k_header);
            frame.header.num_buffers = 0;
            frames.push_back(frame);
            ready[index] = {true, first, m_pieces.size() - first};
        } else {
            m_pieces.resize(first);
        }
    }
    size_t at = 0;
    for (const Ready& one : ready) {
        if (one.sound) {
            frames[at++].pieces = std::span(m_pieces).subspan(one.first_piece, one.pieces);
        }
    }
    size_t taken = frames.empty() ? 0 : m_cable->send(frames);
    // In the ring's order: what waits is always the youngest.
    size_t done = 0;
    for (; done < chains.size() && (!ready[done].sound || taken != 0); ++done) {
        taken -= ready[done].sound ? 1 : 0;
        queue.put(chains[done].head, 0);
    }
    queue.publish();
    chains.erase(chains.begin(), chains.begin() + static_cast<ptrdiff_t>(done));
    return m_transmitters[pair].waiting.empty();
}

// It may ask only for what the driver has negotiated.
bool VirtioNet::may_ask(const NetHeader& header) const {
    if ((header.flags & net::k_needs_csum) != 0 && !has(virtio_net::k_csum)) {
        return false;
    }
    switch (header.gso_type & ~net::k_gso_ecn) {
        case net::k_gso_tcp4: return has(virtio_net::k_host_tso4);
        case net::k_gso_tcp6: return has(virtio_net::k_host_tso6);
        default: return true;
    }
}

void VirtioNet::room_made() {
    const std::lock_guard lock(m_transport->device_gate());
    for (unsigned pair = 0; m_active && pair < m_config.queue_pairs; ++pair) {
        transmit(pair);
    }
}

size_t VirtioNet::frames_arrived(std::span<const NetFrame> frames) {
    const std::lock_guard lock(m_transport->device_gate());
    if (!m_active) {
        m_card_waits = m_held;
        return m_held ? 0 : frames.size();
    }
    size_t done = 0;
    unsigned touched = 0;
    for (; done < frames.size(); ++done) {
        const unsigned pair = pair_for(frames[done]);
        const Placed placed = place(pair, frames[done]);
        if (placed == Placed::no_buffers) {
            m_card_waits = true;
            break;
        }
        touched |= placed == Placed::yes ? 1U << pair : 0U;
    }
    for (unsigned pair = 0; pair < m_config.queue_pairs; ++pair) {
        if ((touched >> pair & 1) != 0) {
            m_session.queues[2 * pair]->publish();
            tell_driver(2 * pair);
        }
    }
    return done;
}

// The same pair for every frame of a connection.
unsigned VirtioNet::pair_for(const NetFrame& frame) const {
    const auto front = front_of(frame);
    constexpr size_t k_addresses = 26;  // IPv4's, and without options the ports after them
    if (m_pairs == 1 || front.size() < k_addresses + 12) {
        return 0;
    }
    uint32_t hash = 0;
    for (size_t at = k_addresses; at < k_addresses + 12; at += 2) {
        hash = hash * 31 + static_cast<uint32_t>(front[at] ^ front[at + 1]);
    }
    return hash % m_pairs;
}

bool VirtioNet::wanted(const NetFrame& frame) const {
    const auto front = front_of(frame);
    if (m_filter.promiscuous || front.size() < 6) {
        return true;
    }
    Mac to{};
    std::copy_n(front.begin(), to.size(), to.begin());
    if (std::ranges::all_of(to, [](uint8_t byte) { return byte == 0xff; })) {
        return !m_filter.no_broadcast;
    }
    const auto listed = [&](const std::vector<Mac>& table) { return std::ranges::find(table, to) != table.end(); };
    if ((to[0] & 1) != 0) {
        return !m_filter.no_groups && (m_filter.all_groups || m_filter.groups_overflow || listed(m_filter.groups));
    }
    return !m_filter.no_unicast &&
           (m_filter.all_unicast || m_filter.unicast_overflow || to == m_mac || listed(m_filter.unicast));
}

// Until the spare buffers have room for so many bytes (merged or not).
bool VirtioNet::gather_buffers(Receiver& receiver, Virtqueue& queue, uint64_t bytes) {
    while (receiver.spare_bytes < bytes) {
        auto chain = queue.pop();
        while (!chain && queue.enable_notifications()) {  // buffers that slipped in
            chain = queue.pop();
        }
        if (!chain) {
            return false;
        }
        queue.disable_notifications();
        receiver.spare_bytes += chain->writable_bytes();
        receiver.spare.push_back(std::move(*chain));
        if (!has(virtio_net::k_mrg_rxbuf)) {
            break;
        }
    }
    return true;
}

VirtioNet::Placed VirtioNet::place(unsigned pair, const NetFrame& frame) {
    Virtqueue* const queue = this->queue(2 * pair);
    if (queue == nullptr || !wanted(frame)) {
        return Placed::dropped;
    }
    Receiver& receiver = m_receivers[pair];
    const uint64_t bytes = k_header + frame.bytes;
    if (!gather_buffers(receiver, *queue, bytes)) {
        return queue->problem().empty() ? Placed::no_buffers : Placed::dropped;
    }
    if (receiver.spare_bytes < bytes) {
        return Placed::dropped;  // not merged, and the driver's buffer is too small for it
    }
    NetHeader header = frame.header;
    uint64_t room = 0;
    while (room < bytes) {
        room += receiver.spare[header.num_buffers++].writable_bytes();
    }
    const iovec header_piece{&header, k_header};
    std::span<const iovec> pieces(&header_piece, 1);
    size_t in_piece = 0;
    bool header_done = false;
    for (unsigned index = 0; index < header.num_buffers; ++index) {
        VirtioChain& chain = receiver.spare.front();
        const uint64_t most = chain.writable_bytes();
        uint64_t written = 0;
        while (written < most && !pieces.empty()) {
            const iovec& piece = pieces.front();
            const uint64_t now = std::min<uint64_t>(piece.iov_len - in_piece, most - written);
            [[maybe_unused]] const bool in_memory =  // a buffer that is nowhere gets nothing
                chain.write(m_memory, written, static_cast<const std::byte*>(piece.iov_base) + in_piece, now);
            written += now;
            in_piece += now;
            if (in_piece == piece.iov_len) {
                in_piece = 0;
                pieces = header_done ? pieces.subspan(1) : frame.pieces;
                header_done = true;
            }
        }
        queue->put(chain.head, static_cast<uint32_t>(written));
        receiver.spare_bytes -= most;
        receiver.spare.pop_front();
    }
    return Placed::yes;
}

}  // namespace skep
