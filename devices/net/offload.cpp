// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/offload.hpp"

#include <algorithm>
#include <cstring>

#include "devices/net/frame_bytes.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_type_ip4 = 0x0800;
constexpr uint16_t k_type_ip6 = 0x86dd;
constexpr uint8_t k_protocol_tcp = 6;
constexpr uint8_t k_protocol_udp = 17;
constexpr uint32_t k_ip6_header = 40;
constexpr uint32_t k_tcp_header = 20;
constexpr uint32_t k_udp_header = 8;
constexpr uint32_t k_least_segment = 256;  // a guest that asks for less gets no more frames for it
constexpr uint8_t k_tcp_fin_psh = 0x09;
constexpr uint8_t k_tcp_cwr = 0x80;

bool layout_ip4(std::span<const uint8_t> frame, FrameLayout& layout, uint8_t& protocol) {
    if (frame.size() < layout.ip + 20) {
        return false;
    }
    const uint32_t header = (frame[layout.ip] & 0x0fU) * 4;
    const uint32_t total = get16(frame, layout.ip + 2);
    const bool is_fragment = (get16(frame, layout.ip + 6) & 0x3fff) != 0;
    if (frame[layout.ip] >> 4 != 4 || header < 20 || total < header || is_fragment) {
        return false;
    }
    protocol = frame[layout.ip + 9];
    layout.transport = layout.ip + header;
    layout.end = layout.ip + total;
    return true;
}

bool layout_ip6(std::span<const uint8_t> frame, FrameLayout& layout, uint8_t& protocol) {
    if (frame.size() < layout.ip + k_ip6_header || frame[layout.ip] >> 4 != 6) {
        return false;
    }
    protocol = frame[layout.ip + 6];  // packets with extension headers are `other`
    layout.transport = layout.ip + k_ip6_header;
    layout.end = layout.transport + get16(frame, layout.ip + 4);
    return true;
}

}  // namespace

uint64_t internet_sum(std::span<const uint8_t> data, uint64_t sum) {
    // 32 bits at a time in the host's order: the sum of swapped words is the swapped sum (RFC 1071, 2).
    uint64_t swapped = 0;
    size_t at = 0;
    for (; at + 16 <= data.size(); at += 16) {
        swapped += uint64_t{load_le<uint32_t>(&data[at])} + load_le<uint32_t>(&data[at + 4]) +
                   load_le<uint32_t>(&data[at + 8]) + load_le<uint32_t>(&data[at + 12]);
    }
    for (; at + 2 <= data.size(); at += 2) {
        swapped += load_le<uint16_t>(&data[at]);
    }
    if (at < data.size()) {
        swapped += data[at];
    }
    while (swapped >> 16 != 0) {
        swapped = (swapped & 0xffff) + (swapped >> 16);
    }
    return sum + byte_swap(static_cast<uint16_t>(swapped));
}

uint16_t finish_sum(uint64_t sum) {
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<uint16_t>(~sum);
}

FrameLayout frame_layout(std::span<const uint8_t> frame) {
    FrameLayout layout;
    if (frame.size() < net::k_header_bytes) {
        return {};
    }
    layout.ip = net::k_header_bytes;
    const uint16_t type = get16(frame, 12);
    uint8_t protocol = 0;
    const bool is_ip4 = type == k_type_ip4;
    const bool known = is_ip4 ? layout_ip4(frame, layout, protocol) : type == k_type_ip6 && layout_ip6(frame, layout, protocol);
    const bool is_tcp = protocol == k_protocol_tcp;
    const uint32_t shortest = is_tcp ? k_tcp_header : k_udp_header;
    if (!known || (!is_tcp && protocol != k_protocol_udp) || layout.end > frame.size() ||
        layout.transport + shortest > layout.end) {
        return {};
    }
    const uint32_t header = is_tcp ? (frame[layout.transport + 12] >> 4) * 4U : k_udp_header;
    if (header < shortest || layout.transport + header > layout.end) {
        return {};
    }
    layout.payload = layout.transport + header;
    layout.kind = is_tcp ? (is_ip4 ? FrameLayout::Kind::tcp4 : FrameLayout::Kind::tcp6)
                         : (is_ip4 ? FrameLayout::Kind::udp4 : FrameLayout::Kind::udp6);
    return layout;
}

uint64_t pseudo_header_sum(std::span<const uint8_t> frame, const FrameLayout& layout, uint32_t bytes) {
    const bool is_ip4 = layout.is_ip4();
    const auto addresses = is_ip4 ? frame.subspan(layout.ip + 12, 8) : frame.subspan(layout.ip + 8, 32);
    const uint64_t protocol = layout.is_tcp() ? k_protocol_tcp : k_protocol_udp;
    return internet_sum(addresses, protocol + (bytes >> 16) + (bytes & 0xffff));
}

void write_checksums(std::span<uint8_t> frame, const FrameLayout& layout) {
    if (layout.is_ip4()) {
        put16(frame, layout.ip + 10, 0);
        put16(frame, layout.ip + 10, finish_sum(internet_sum(frame.subspan(layout.ip, layout.transport - layout.ip))));
    }
    const size_t at = layout.transport + (layout.is_tcp() ? 16 : 6);
    const uint32_t bytes = layout.end - layout.transport;
    put16(frame, at, 0);
    const uint16_t sum =
        finish_sum(internet_sum(frame.subspan(layout.transport, bytes), pseudo_header_sum(frame, layout, bytes)));
    put16(frame, at, sum == 0 && !layout.is_tcp() ? 0xffff : sum);  // RFC 768: 0 says that there is none
}

bool complete_checksum(std::span<uint8_t> frame, const NetHeader& header) {
    const size_t start = header.csum_start;
    const size_t at = start + header.csum_offset;
    if (start >= frame.size() || at + 2 > frame.size()) {
        return false;
    }
    const uint16_t sum = finish_sum(internet_sum(frame.subspan(start)));
    put16(frame, at, sum == 0 && header.csum_offset == 6 ? 0xffff : sum);
    return true;
}

bool segment_tcp(std::span<const uint8_t> frame, uint16_t gso_size,
                 const std::function<void(std::span<const uint8_t>)>& emit) {
    const FrameLayout whole = frame_layout(frame);
    if (!whole.is_tcp() || gso_size == 0) {
        return false;
    }
    const uint32_t most = std::max<uint32_t>(gso_size, k_least_segment);
    const uint32_t data_bytes = whole.end - whole.payload;
    const uint8_t flags = frame[whole.transport + 13];
    const auto first_sequence = byte_swap(load_le<uint32_t>(&frame[whole.transport + 4]));
    const uint16_t first_id = whole.is_ip4() ? get16(frame, whole.ip + 4) : 0;
    std::vector<uint8_t> segment;
    uint32_t done = 0;
    do {
        const uint32_t piece = std::min(most, data_bytes - done);
        const bool is_last = done + piece == data_bytes;
        segment.assign(frame.begin(), frame.begin() + whole.payload);
        segment.insert(segment.end(), frame.begin() + whole.payload + done, frame.begin() + whole.payload + done + piece);
        FrameLayout layout = whole;
        layout.end = whole.payload + piece;
        if (whole.is_ip4()) {
            put16(segment, whole.ip + 2, layout.end - whole.ip);
            put16(segment, whole.ip + 4, first_id + done / most);
        } else {
            put16(segment, whole.ip + 4, layout.end - whole.transport);
        }
        store_le(&segment[whole.transport + 4], byte_swap(first_sequence + done));
        uint8_t now = is_last ? flags : static_cast<uint8_t>(flags & ~k_tcp_fin_psh);
        now = done == 0 ? now : static_cast<uint8_t>(now & ~k_tcp_cwr);
        segment[whole.transport + 13] = now;
        write_checksums(segment, layout);
        emit(segment);
        done += piece;
    } while (done < data_bytes);
    return true;
}

bool header_is_sound(const NetHeader& header, uint32_t frame_bytes) {
    if ((header.flags & net::k_needs_csum) != 0 && uint32_t{header.csum_start} + header.csum_offset + 2 > frame_bytes) {
        return false;
    }
    switch (header.gso_type & ~net::k_gso_ecn) {
        case net::k_gso_none: return true;
        case net::k_gso_tcp4:
        case net::k_gso_tcp6: return header.gso_size != 0;
        default: return false;
    }
}

bool make_plain(std::span<uint8_t> frame, const NetHeader& header,
                const std::function<void(std::span<const uint8_t>)>& emit) {
    if ((header.gso_type & ~net::k_gso_ecn) != net::k_gso_none) {
        return segment_tcp(frame, header.gso_size, emit);
    }
    const bool sum_asked = (header.flags & net::k_needs_csum) != 0;
    if (sum_asked && !complete_checksum(frame, header)) {
        return false;
    }
    emit(frame);
    return true;
}

size_t copy_front(const NetFrame& frame, std::span<uint8_t> to) {
    size_t done = 0;
    for (const iovec& piece : frame.pieces) {
        const size_t now = std::min(piece.iov_len, to.size() - done);
        std::memcpy(to.data() + done, piece.iov_base, now);
        done += now;
        if (done == to.size()) {
            break;
        }
    }
    return done;
}

void fragment_ip4(std::span<const uint8_t> frame, uint32_t mtu, const std::function<void(std::span<const uint8_t>)>& emit) {
    constexpr uint32_t k_ip = net::k_header_bytes;
    constexpr uint16_t k_more_fragments = 0x2000;
    if (frame.size() < k_ip + 20 || get16(frame, 12) != k_type_ip4) {
        return;
    }
    const uint32_t header = (frame[k_ip] & 0x0fU) * 4;
    const uint32_t total = get16(frame, k_ip + 2);
    const uint16_t place = get16(frame, k_ip + 6);
    if (header < 20 || total < header || k_ip + total > frame.size() || mtu < header + 8) {
        return;
    }
    const uint32_t most = (mtu - header) & ~7U;
    std::vector<uint8_t> fragment;
    for (uint32_t done = 0; done < total - header; done += most) {
        const uint32_t piece = std::min(most, total - header - done);
        const bool more = done + piece < total - header || (place & k_more_fragments) != 0;
        const auto data = frame.subspan(k_ip + header + done, piece);
        fragment.assign(frame.begin(), frame.begin() + k_ip + header);
        fragment.insert(fragment.end(), data.begin(), data.end());
        put16(fragment, k_ip + 2, header + piece);
        put16(fragment, k_ip + 6, ((place & 0x1fffU) + done / 8) | (more ? k_more_fragments : 0U));
        put16(fragment, k_ip + 10, 0);
        put16(fragment, k_ip + 10, finish_sum(internet_sum(std::span(fragment).subspan(k_ip, header))));
        emit(fragment);
    }
}

}  // namespace skep
