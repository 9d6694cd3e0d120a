// SPDX-License-Identifier: GPL-3.0-or-later
// Bit fields, alignment and byte order for register and table work.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace skep {

static_assert(std::endian::native == std::endian::little, "Skep runs on x86-64 hosts");

constexpr uint64_t bit(unsigned position) { return uint64_t{1} << position; }

// Bits [low, low+count) of value.
constexpr uint64_t bits(uint64_t value, unsigned low, unsigned count) {
    return (value >> low) & (count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1);
}

// An all-ones value of `size` bytes (1..8): what nobody answers on a bus.
constexpr uint64_t all_ones(unsigned size) { return size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (size * 8)) - 1; }

constexpr uint64_t align_down(uint64_t value, uint64_t alignment) { return value & ~(alignment - 1); }
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) & ~(alignment - 1); }
constexpr bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

template <typename T>
T load_le(const void* from) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}
template <typename T>
void store_le(void* to, T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(to, &value, sizeof value);
}
template <typename T>
T byte_swap(T value) {
    if constexpr (sizeof(T) == 1) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return static_cast<T>(__builtin_bswap16(value));
    } else if constexpr (sizeof(T) == 4) {
        return static_cast<T>(__builtin_bswap32(value));
    } else {
        return static_cast<T>(__builtin_bswap64(value));
    }
}
template <typename T>
T load_be(const void* from) { return byte_swap(load_le<T>(from)); }
template <typename T>
void store_be(void* to, T value) { store_le<T>(to, byte_swap(value)); }

// Replaces the bytes [offset, offset+size) of a little-endian register by the low bytes of value:
// a narrow write into a wide register.
constexpr uint64_t merge_bytes(uint64_t old_value, unsigned offset, unsigned size, uint64_t value) {
    const uint64_t mask = all_ones(size) << (offset * 8);
    return (old_value & ~mask) | ((value << (offset * 8)) & mask);
}

}  // namespace skep
