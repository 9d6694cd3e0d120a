// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers of two bytes in a frame, in the network's order. Both bytes are looked up in the span, so that a place outside of it
// is noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace skep {

[[nodiscard]] inline uint16_t get16(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// Of a value the lower half.
inline void put16(std::span<uint8_t> bytes, size_t at, uint32_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

}  // namespace skep
