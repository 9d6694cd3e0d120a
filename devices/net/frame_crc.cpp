// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/frame_crc.hpp"

#include <array>
#include <cstddef>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_step = 8;  // bytes at once
constexpr uint32_t k_polynomial = 0xedb8'8320;
using Tables = std::array<std::array<uint32_t, 256>, k_step>;

// Table n holds what a byte comes to with n bytes behind it.
constexpr Tables make_tables() {
    Tables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (unsigned turn = 0; turn < 8; ++turn) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? k_polynomial : 0);
        }
        tables[0][byte] = crc;
    }
    for (size_t behind = 1; behind < k_step; ++behind) {
        for (size_t byte = 0; byte < 256; ++byte) {
            const uint32_t before = tables[behind - 1][byte];
            tables[behind][byte] = before >> 8 ^ tables[0][before & 0xff];
        }
    }
    return tables;
}
constexpr Tables k_tables = make_tables();

}  // namespace

uint32_t frame_crc(std::span<const uint8_t> frame) {
    uint32_t crc = ~0U;
    for (; frame.size() >= k_step; frame = frame.subspan(k_step)) {
        const uint64_t word = load_le<uint64_t>(frame.data()) ^ crc;
        crc = 0;
        for (size_t byte = 0; byte < k_step; ++byte) {
            crc ^= k_tables[k_step - 1 - byte][word >> (8 * byte) & 0xff];
        }
    }
    for (const uint8_t byte : frame) {
        crc = crc >> 8 ^ k_tables[0][(crc ^ byte) & 0xff];
    }
    return ~crc;
}

}  // namespace skep
