// SPDX-License-Identifier: GPL-3.0-or-later
// FNV-1a with 64 bits: for names made of other names and for checksums against accidents, never against people.
#pragma once

#include <cstdint>

namespace skep {

inline constexpr uint64_t k_fnv_basis = 0xcbf2'9ce4'8422'2325;

// Of a range of single bytes, char or uint8_t. `hash`: another basis, or what the bytes before came to.
template <typename Bytes>
[[nodiscard]] constexpr uint64_t fnv1a(const Bytes& bytes, uint64_t hash = k_fnv_basis) {
    for (const auto byte : bytes) {
        static_assert(sizeof byte == 1);
        hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100'0000'01b3;
    }
    return hash;
}

}  // namespace skep
