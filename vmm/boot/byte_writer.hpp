// SPDX-License-Identifier: GPL-3.0-or-later
// ByteWriter: little-endian tables written field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace skep {

class ByteWriter {
  public:
    ByteWriter& u8(uint64_t value) { return put(value, 1); }
    ByteWriter& u16(uint64_t value) { return put(value, 2); }
    ByteWriter& u32(uint64_t value) { return put(value, 4); }
    ByteWriter& u64(uint64_t value) { return put(value, 8); }
    ByteWriter& zeros(size_t count) {
        m_bytes.resize(m_bytes.size() + count);
        return *this;
    }
    // Without a NUL.
    ByteWriter& text(std::string_view value) {
        for (const char c : value) {
            u8(static_cast<uint8_t>(c));
        }
        return *this;
    }
    ByteWriter& bytes(std::span<const std::byte> value) {
        m_bytes.insert(m_bytes.end(), value.begin(), value.end());
        return *this;
    }
    [[nodiscard]] size_t size() const { return m_bytes.size(); }
    [[nodiscard]] std::vector<std::byte>& content() { return m_bytes; }
    [[nodiscard]] std::vector<std::byte> take() { return std::move(m_bytes); }

  private:
    ByteWriter& put(uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) {
            m_bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
        }
        return *this;
    }

    std::vector<std::byte> m_bytes;
};

// The byte that makes the sum of `bytes` 0 when added to it.
[[nodiscard]] inline std::byte zero_sum(std::span<const std::byte> bytes) {
    uint8_t sum = 0;
    for (const std::byte value : bytes) {
        sum = static_cast<uint8_t>(sum + std::to_integer<uint8_t>(value));
    }
    return static_cast<std::byte>(0x100 - sum);
}

}  // namespace skep
