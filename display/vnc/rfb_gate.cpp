// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_gate.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace skep {
namespace {

enum MessageType : uint8_t {
    k_set_pixel_format = 0,
    k_set_encodings = k_message_set_encodings,
    k_update_request = 3,
    k_key_event = 4,
    k_pointer_event = 5,
    k_cut_text = 6,
    k_set_desktop_size = 251,
    k_qemu = 255,
};

constexpr size_t k_cut_text_header = 8;
constexpr size_t k_most_screens = 16;
constexpr std::array<int32_t, 3> k_picture_encodings{0 /* Raw */, 5 /* Hextile */, 16 /* ZRLE */};
constexpr int32_t k_extended_key_encoding = -258;
constexpr int32_t k_pointer_motion_encoding = -257;

using Verdict = GatedMessage::Verdict;

uint32_t big_endian(std::span<const uint8_t> bytes, size_t at, size_t size) {
    uint32_t value = 0;
    for (size_t index = 0; index < size; ++index) {
        value = value << 8 | bytes[at + index];
    }
    return value;
}

GatedMessage whole(std::span<const uint8_t> arrived, size_t length, Verdict verdict) {
    return {arrived.size() >= length ? verdict : Verdict::incomplete, length, 0};
}

constexpr GatedMessage k_refused{Verdict::refused, 0, 0};

// A message whose count of elements is at `count_at`.
GatedMessage counted(std::span<const uint8_t> arrived, size_t header, std::optional<size_t> count, size_t most, size_t size,
                     Verdict verdict) {
    if (!count) {
        return {Verdict::incomplete, header, 0};
    }
    return *count <= most ? whole(arrived, header + *count * size, verdict) : k_refused;
}

GatedMessage cut_text(std::span<const uint8_t> arrived) {
    if (arrived.size() < k_cut_text_header) {
        return {Verdict::incomplete, k_cut_text_header, 0};
    }
    // The extended clipboard writes its lengths as negative numbers.
    const auto length = static_cast<int32_t>(big_endian(arrived, 4, 4));
    const size_t skip = length < 0 ? 0U - static_cast<uint32_t>(length) : static_cast<uint32_t>(length);
    return skip <= k_most_cut_text ? GatedMessage{Verdict::cut_text, k_cut_text_header, skip} : k_refused;
}

}  // namespace

GatedMessage gate_message(std::span<const uint8_t> arrived) {
    const auto have = [&](size_t size) { return arrived.size() >= size; };
    if (arrived.empty()) {
        return {};
    }
    switch (arrived[0]) {
        case k_set_pixel_format: return whole(arrived, 20, Verdict::library);
        case k_set_encodings:
            return counted(arrived, 4, have(4) ? std::optional<size_t>(big_endian(arrived, 2, 2)) : std::nullopt,
                           k_most_encodings, 4, Verdict::library);
        case k_update_request: return whole(arrived, 10, Verdict::library);
        case k_key_event: return whole(arrived, 8, Verdict::library);
        case k_pointer_event: return whole(arrived, 6, Verdict::library);
        case k_cut_text: return cut_text(arrived);
        case k_set_desktop_size:
            return counted(arrived, 8, have(8) ? std::optional<size_t>(arrived[6]) : std::nullopt, k_most_screens, 16,
                           Verdict::desktop_size);
        case k_qemu:  // submessage 0 is the key event
            return have(2) && arrived[1] != 0 ? k_refused : whole(arrived, 12, Verdict::extended_key);
        default: return k_refused;
    }
}

ExtendedKey parse_extended_key(std::span<const uint8_t> message) {
    return {big_endian(message, 2, 2) != 0, big_endian(message, 4, 4), big_endian(message, 8, 4)};
}

WantedSize parse_desktop_size(std::span<const uint8_t> message) {
    return {big_endian(message, 2, 2), big_endian(message, 4, 2), message[6]};
}

OfferedEncodings parse_encodings(std::span<const uint8_t> message) {
    OfferedEncodings offered;
    std::optional<int32_t> preferred;
    for (size_t at = 4; at + 4 <= message.size(); at += 4) {
        const auto encoding = static_cast<int32_t>(big_endian(message, at, 4));
        if (!preferred && std::ranges::find(k_picture_encodings, encoding) != k_picture_encodings.end()) {
            preferred = encoding;
        }
        offered.extended_key |= encoding == k_extended_key_encoding;
        offered.pointer_motion |= encoding == k_pointer_motion_encoding;
    }
    offered.preferred = preferred.value_or(0);
    return offered;
}

}  // namespace skep
