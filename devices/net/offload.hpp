// SPDX-License-Identifier: GPL-3.0-or-later
// Checksums and segmentation in software, for receivers that cannot do what a frame's header asks for.
// RFC 1071 (sums), RFC 791 and 8200 (IP), RFC 9293 (TCP).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devices/net/net_frame.hpp"

namespace skep {

// The one's complement sum of big-endian 16-bit words, not folded; an odd last byte counts as if a zero followed.
[[nodiscard]] uint64_t internet_sum(std::span<const uint8_t> data, uint64_t sum = 0);
// Folded to 16 bits and complemented: what stands in a header.
[[nodiscard]] uint16_t finish_sum(uint64_t sum);

// Where things are in a frame that holds a TCP or UDP segment over IP, not a fragment.
struct FrameLayout {
    enum class Kind { other, tcp4, udp4, tcp6, udp6 };
    Kind kind = Kind::other;
    uint32_t ip = 0;         // offset of the IP header
    uint32_t transport = 0;  // offset of the TCP or UDP header
    uint32_t payload = 0;    // offset of the data
    uint32_t end = 0;        // where the IP packet ends: at most the frame's length
    [[nodiscard]] bool is_tcp() const { return kind == Kind::tcp4 || kind == Kind::tcp6; }
    [[nodiscard]] bool is_ip4() const { return kind == Kind::tcp4 || kind == Kind::udp4; }
};
// Looks at no byte outside of `frame`; whatever is damaged is `other`.
[[nodiscard]] FrameLayout frame_layout(std::span<const uint8_t> frame);

// The sum of the pseudo header for a segment of `bytes`.
[[nodiscard]] uint64_t pseudo_header_sum(std::span<const uint8_t> frame, const FrameLayout& layout, uint32_t bytes);
// Computes the checksum of the IP header (IPv4) and of the segment anew.
void write_checksums(std::span<uint8_t> frame, const FrameLayout& layout);
// Does what k_needs_csum asks for; false when the places are not in the frame.
[[nodiscard]] bool complete_checksum(std::span<uint8_t> frame, const NetHeader& header);

// Whether a header of unknown origin asks only for what there is, at places that are in its frame.
[[nodiscard]] bool header_is_sound(const NetHeader& header, uint32_t frame_bytes);

// The frame as plain ones, each with right checksums and no more than the header's gso_size of data; `emit` gets each.
// False: it is no such TCP segment, and nothing was emitted.
[[nodiscard]] bool segment_tcp(std::span<const uint8_t> frame, uint16_t gso_size,
                               const std::function<void(std::span<const uint8_t>)>& emit);

// A frame as a receiver without offloads must have it: `emit` gets it with its checksum completed, or its segments. False:
// its header asks for what cannot be done, and nothing was emitted. Changes the frame.
[[nodiscard]] bool make_plain(std::span<uint8_t> frame, const NetHeader& header,
                              const std::function<void(std::span<const uint8_t>)>& emit);

// Copies the first bytes of a frame; returns how many there were.
size_t copy_front(const NetFrame& frame, std::span<uint8_t> to);

// An IPv4 packet of more than `mtu` bytes (from its IP header on) in fragments (RFC 791, 3.2); other frames are dropped.
void fragment_ip4(std::span<const uint8_t> frame, uint32_t mtu, const std::function<void(std::span<const uint8_t>)>& emit);

}  // namespace skep
