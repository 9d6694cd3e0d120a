// SPDX-License-Identifier: GPL-3.0-or-later
// An Ethernet frame on its way between a card and a back end, with what its sender left to others: checksum and
// segmentation, told as in struct virtio_net_hdr (Virtual I/O Device 1.2, 5.1.6).
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

namespace skep {

// struct virtio_net_hdr as with VIRTIO_F_VERSION_1, little-endian.
struct NetHeader {
    uint8_t flags = 0;
    uint8_t gso_type = 0;
    uint16_t hdr_len = 0;      // bytes of headers in front of the data to be segmented; a hint
    uint16_t gso_size = 0;     // bytes of data in each segment
    uint16_t csum_start = 0;   // from the frame's start
    uint16_t csum_offset = 0;  // from csum_start
    uint16_t num_buffers = 0;  // only between device and driver
};
static_assert(sizeof(NetHeader) == 12);

namespace net {
// flags
inline constexpr uint8_t k_needs_csum = 1;  // the sum from csum_start on is to be put at csum_start + csum_offset
inline constexpr uint8_t k_data_valid = 2;  // the checksums are known to be right
// gso_type
inline constexpr uint8_t k_gso_none = 0;
inline constexpr uint8_t k_gso_tcp4 = 1;
inline constexpr uint8_t k_gso_udp = 3;
inline constexpr uint8_t k_gso_tcp6 = 4;
inline constexpr uint8_t k_gso_ecn = 0x80;  // or'ed to it

inline constexpr uint32_t k_header_bytes = 14;                     // Ethernet
inline constexpr uint32_t k_most_frame_bytes = 65535 + 14 + 4;     // the largest IP packet, with a VLAN tag
inline constexpr uint32_t k_mtu = 1500;                            // of everything here
}  // namespace net

// The pieces lie in guest memory, which may change meanwhile, or in a buffer of the sender: they are good only during
// the call.
struct NetFrame {
    NetHeader header;
    std::span<const iovec> pieces;
    uint32_t bytes = 0;  // of all pieces: 14..k_most_frame_bytes
};

// What a receiver of frames understands of the header.
struct NetOffloads {
    bool checksum = false;  // k_needs_csum, k_data_valid
    bool tcp4 = false;      // k_gso_tcp4
    bool tcp6 = false;
    bool ecn = false;
    bool operator==(const NetOffloads&) const = default;
};

}  // namespace skep
