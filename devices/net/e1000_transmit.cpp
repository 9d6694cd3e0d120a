// SPDX-License-Identifier: GPL-3.0-or-later
// From transmit descriptors to frames (8254x manual 317453, 3.3 to 3.5). Segmentation is left to the back end where it can
// be: a large packet goes out as one frame, or a few.
#include <algorithm>
#include <cstring>

#include "devices/net/e1000.hpp"
#include "devices/net/frame_bytes.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace e1000;

namespace {

constexpr size_t k_batch_frames = 64;
constexpr unsigned k_most_descriptors = 1024;  // at once; then others get their turn
constexpr uint64_t k_most_bytes = 2 << 20;
constexpr Nanoseconds k_turn_of_others = 20'000;
constexpr size_t k_most_packet = 16288;     // of one that is not segmented (3.3.1)
constexpr size_t k_most_segments = 65000;   // headers and data of what goes out as one frame
constexpr size_t k_least_frame = 60;        // without its CRC
constexpr uint8_t k_option_ip = 1;
constexpr uint8_t k_option_tu = 2;
constexpr uint8_t k_tcp_fin_psh = 0x09;
constexpr size_t k_most_headers = 255;

}  // namespace

void E1000::transmit() {
    const uint32_t count = reg(k_tdlen) / sizeof(TxDescriptor);
    if ((reg(k_tctl) & k_tctl_en) == 0 || m_paused || !bus_master() || m_transmitting || reg(k_tdh) == reg(k_tdt)) {
        return;
    }
    if (reg(k_tdh) >= count || reg(k_tdt) >= count) {
        guest_errors().report("head {} and tail {} of a ring with {} transmit descriptors", reg(k_tdh), reg(k_tdt), count);
        return;
    }
    m_transmitting = true;
    const GuestAddress ring = uint64_t{reg(k_tdbah)} << 32 | reg(k_tdbal);
    unsigned budget = k_most_descriptors;
    uint64_t bytes = 0;
    uint32_t causes = 0;
    bool room = send_batch();
    while (room && reg(k_tdh) != reg(k_tdt) && budget != 0 && bytes < k_most_bytes) {
        const GuestAddress at = ring + uint64_t{reg(k_tdh)} * sizeof(TxDescriptor);
        const auto descriptor = context().memory.read_value<TxDescriptor>(at);
        if (!descriptor) {
            guest_errors().report("transmit descriptor at {:#x} is not in memory", at);
            reg(k_tdh) = reg(k_tdt);
            break;
        }
        causes |= take_descriptor(*descriptor, at);
        bytes += descriptor->lower & 0xf'ffff;
        --budget;
        reg(k_tdh) = reg(k_tdh) + 1 == count ? 0 : reg(k_tdh) + 1;
        room = m_batch.size() < k_batch_frames || send_batch();
    }
    room = send_batch();
    m_transmitting = false;
    causes |= reg(k_tdh) == reg(k_tdt) ? k_int_txqe : 0;
    if ((causes & k_tx_ide) != 0) {  // not before a while, unless others come in between
        set_cause_later(k_transmitted, m_first_transmitted, reg(k_tidv), reg(k_tadv), causes & k_int_all);
    } else if (causes != 0) {
        set_cause(causes);
    }
    if (room && reg(k_tdh) != reg(k_tdt)) {
        m_deadlines[k_more_to_send] = context().clock.now() + k_turn_of_others;
        schedule();
    }
}

// False: the back end has no room, and room_made() goes on.
bool E1000::send_batch() {
    if (m_batch.empty()) {
        return true;
    }
    std::vector<iovec> pieces(m_batch.size());
    std::vector<NetFrame> frames(m_batch.size());
    for (size_t index = 0; index < m_batch.size(); ++index) {
        pieces[index] = {m_batch[index].bytes.data(), m_batch[index].bytes.size()};
        frames[index] = {.header = m_batch[index].header,
                         .pieces = std::span(&pieces[index], 1),
                         .bytes = static_cast<uint32_t>(m_batch[index].bytes.size())};
    }
    const size_t taken = m_cable->send(frames);
    m_batch.erase(m_batch.begin(), m_batch.begin() + static_cast<ptrdiff_t>(taken));
    return m_batch.empty();
}

void E1000::room_made() {
    const std::lock_guard lock(gate());
    if (!m_paused && send_batch()) {
        transmit();
    }
}

// Returns TXDW when the descriptor asks for a report, with k_tx_ide when not at once.
uint32_t E1000::take_descriptor(const TxDescriptor& descriptor, GuestAddress at) {
    const bool extended = (descriptor.lower & k_tx_dext) != 0;
    const bool is_data = !extended || (descriptor.lower & k_tx_dtyp) == k_tx_data;
    if (is_data) {
        if (!m_packet.begun) {
            m_packet.begun = true;
            m_packet.segmented = extended && (descriptor.lower & k_tx_tse) != 0;
            m_packet.options = extended ? static_cast<uint8_t>(descriptor.upper >> 8) : uint8_t{0};
        }
        append(descriptor.address, descriptor.lower & (extended ? 0xf'ffff : 0xffff));
        if ((descriptor.lower & k_tx_eop) != 0) {
            finish_packet(descriptor);
        }
    } else {
        take_context(descriptor);
    }
    if ((descriptor.lower & k_tx_rs) == 0) {
        return 0;
    }
    const auto status = static_cast<uint8_t>((descriptor.upper & 0xff) | k_tx_dd);
    if (!context().memory.write_value(at + offsetof(TxDescriptor, upper), status)) {
        guest_errors().report("transmit descriptor at {:#x} cannot be written", at);
    }
    return k_int_txdw | (reg(k_tidv) != 0 ? descriptor.lower & k_tx_ide : 0);
}

void E1000::take_context(const TxDescriptor& descriptor) {
    const uint64_t places = descriptor.address;
    const Offload offload{.ip_start = static_cast<uint8_t>(places),
                          .ip_at = static_cast<uint8_t>(places >> 8),
                          .ip_end = static_cast<uint16_t>(places >> 16),
                          .tu_start = static_cast<uint8_t>(places >> 32),
                          .tu_at = static_cast<uint8_t>(places >> 40),
                          .tu_end = static_cast<uint16_t>(places >> 48),
                          .header_bytes = static_cast<uint8_t>(descriptor.upper >> 8),
                          .mss = static_cast<uint16_t>(descriptor.upper >> 16),
                          .ip4 = (descriptor.lower & k_tx_context_ip4) != 0,
                          .tcp = (descriptor.lower & k_tx_context_tcp) != 0};
    if ((descriptor.lower & k_tx_tse) != 0) {
        m_segmentation = offload;
        count(k_tsctc);
    } else {
        m_offload = offload;
    }
}

void E1000::append(GuestAddress address, uint32_t bytes) {
    std::vector<uint8_t>& packet = m_packet.bytes;
    const size_t header = m_segmentation.header_bytes;
    const size_t mss = std::max<size_t>(m_segmentation.mss, 1);
    const size_t most = m_packet.segmented ? header + std::max<size_t>((k_most_segments - header) / mss, 1) * mss : k_most_packet;
    while (bytes != 0 && !m_packet.too_long) {
        const auto now = static_cast<uint32_t>(std::min<size_t>(bytes, most - std::min(most, packet.size())));
        if (now == 0) {
            if (m_packet.segmented) {
                send_segments(Part::more_follows);
            } else {
                m_packet.too_long = true;
            }
            continue;
        }
        const size_t before = packet.size();
        packet.resize(before + now);
        if (!context().memory.read(address, &packet[before], now)) {
            guest_errors().report("{} bytes to be sent at {:#x} are not in memory", now, address);
            m_packet.too_long = true;
        }
        address += now;
        bytes -= now;
    }
}

void E1000::finish_packet(const TxDescriptor& last) {
    const bool extended = (last.lower & k_tx_dext) != 0;
    const bool tagged = (last.lower & k_tx_vle) != 0 && (reg(k_ctrl) & k_ctrl_vme) != 0;
    if (m_packet.too_long) {
        guest_errors().report("a packet that is too long, or not in memory, was not sent");
    } else if (m_packet.segmented) {
        send_segments(Part::last);
    } else {
        if (!extended && (last.lower & k_tx_ic) != 0) {
            insert_checksum(last.upper >> 8 & 0xff, last.lower >> 16 & 0xff, 0);
        }
        if ((m_packet.options & k_option_ip) != 0) {
            insert_checksum(m_offload.ip_start, m_offload.ip_at, m_offload.ip_end);
        }
        if ((m_packet.options & k_option_tu) != 0) {
            insert_checksum(m_offload.tu_start, m_offload.tu_at, m_offload.tu_end);
        }
        if (tagged && m_packet.bytes.size() >= net::k_header_bytes) {
            const std::array<uint8_t, 4> tag{static_cast<uint8_t>(reg(k_vet) >> 8), static_cast<uint8_t>(reg(k_vet)),
                                             static_cast<uint8_t>(last.upper >> 24), static_cast<uint8_t>(last.upper >> 16)};
            m_packet.bytes.insert(m_packet.bytes.begin() + 12, tag.begin(), tag.end());
        }
        send_frame({}, m_packet.bytes);
    }
    m_packet = {};
}

// 3.4: the sum of the bytes from `start` to and with `end` (0: the last one), where the driver has put what else counts.
void E1000::insert_checksum(uint32_t start, uint32_t at, uint32_t end) {
    std::vector<uint8_t>& bytes = m_packet.bytes;
    const size_t stop = end == 0 ? bytes.size() : std::min<size_t>(end + 1, bytes.size());
    if (start < stop && at + 2 <= bytes.size()) {
        put16(bytes, at, finish_sum(internet_sum(std::span(bytes).subspan(start, stop - start))));
    }
}

// 3.5: the headers stand at the packet's front; lengths, sequence numbers and sums are the card's business.
void E1000::send_segments(Part part) {
    const Offload& offload = m_segmentation;
    std::vector<uint8_t>& bytes = m_packet.bytes;
    const size_t header = offload.header_bytes;
    const bool sound = offload.tcp && offload.mss != 0 && bytes.size() > header && offload.ip_start + 20U <= offload.tu_start &&
                       offload.tu_start + 20U <= header;
    if (!sound) {
        guest_errors().report("a segmentation with {} header bytes, {} of data a segment", header, offload.mss);
        m_packet.too_long = true;
        return;
    }
    std::array<uint8_t, k_most_headers> front{};
    std::copy_n(bytes.begin(), header, front.begin());
    const std::span<uint8_t> frame(bytes);
    if (offload.ip4) {
        put16(frame, offload.ip_start + 2U, static_cast<uint32_t>(bytes.size() - offload.ip_start));
        put16(frame, offload.ip_start + 4U, load_be<uint16_t>(&front[offload.ip_start + 4U]) + m_packet.segments_done);
    } else {
        put16(frame, offload.ip_start + 4U, static_cast<uint32_t>(bytes.size() - offload.ip_start - 40));
    }
    const auto sequence = load_be<uint32_t>(&front[offload.tu_start + 4U]) + m_packet.segments_done * offload.mss;
    store_be<uint32_t>(&frame[offload.tu_start + 4U], sequence);
    if (part == Part::more_follows) {
        frame[offload.tu_start + 13U] &= static_cast<uint8_t>(~k_tcp_fin_psh);
    }
    const FrameLayout layout = frame_layout(frame);
    if (!layout.is_tcp() || layout.payload != header) {
        guest_errors().report("a segmentation of what is no TCP segment");
        m_packet.too_long = true;
        return;
    }
    write_checksums(frame, layout);
    const size_t data = bytes.size() - header;
    NetHeader how;
    if (data > offload.mss) {
        const uint16_t sum = static_cast<uint16_t>(~finish_sum(pseudo_header_sum(frame, layout, layout.end - layout.transport)));
        put16(frame, layout.transport + 16, sum);
        how = {.flags = net::k_needs_csum,
               .gso_type = layout.is_ip4() ? net::k_gso_tcp4 : net::k_gso_tcp6,
               .hdr_len = static_cast<uint16_t>(header),
               .gso_size = offload.mss,
               .csum_start = static_cast<uint16_t>(layout.transport),
               .csum_offset = 16};
    }
    send_frame(how, bytes);
    m_packet.segments_done += static_cast<uint32_t>((data + offload.mss - 1) / offload.mss);
    bytes.assign(front.begin(), front.begin() + static_cast<ptrdiff_t>(header));
}

void E1000::send_frame(const NetHeader& header, std::span<const uint8_t> bytes) {
    if (bytes.size() < net::k_header_bytes) {
        guest_errors().report("a frame of {} bytes", bytes.size());
        return;
    }
    Outgoing frame{header, {bytes.begin(), bytes.end()}};
    if ((reg(k_tctl) & k_tctl_psp) != 0 && bytes.size() < k_least_frame) {
        frame.bytes.resize(k_least_frame);
    }
    const size_t on_wire = frame.bytes.size() + 4;
    count(k_gptc);
    count(k_tpt);
    count_long(k_gotcl, on_wire);
    count_long(k_totl, on_wire);
    count_size(k_ptc64, on_wire);
    if ((bytes[0] & 1) != 0) {
        const bool broadcast = std::all_of(bytes.begin(), bytes.begin() + 6, [](uint8_t byte) { return byte == 0xff; });
        count(broadcast ? k_bptc : k_mptc);
    }
    m_batch.push_back(std::move(frame));
}

}  // namespace skep
