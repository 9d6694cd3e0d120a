// SPDX-License-Identifier: GPL-3.0-or-later
// CRC-32C (RFC 3720, appendix B.4), a table's step a byte.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace skep {

namespace detail {
constexpr std::array<uint32_t, 256> make_crc32c_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
        table[i] = crc;
    }
    return table;
}
inline constexpr std::array<uint32_t, 256> k_crc32c_table = make_crc32c_table();
}  // namespace detail

[[nodiscard]] constexpr uint32_t crc32c(std::span<const uint8_t> bytes) {
    uint32_t crc = ~0U;
    for (const uint8_t byte : bytes) {
        crc = crc >> 8 ^ detail::k_crc32c_table[(crc ^ byte) & 0xff];
    }
    return ~crc;
}

}  // namespace skep
