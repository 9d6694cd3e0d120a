// SPDX-License-Identifier: GPL-3.0-or-later
// Between guest nanoseconds and ticks of a device's own oscillator, without overflow.
#pragma once

#include <cstdint>

#include "vmm/base/clock.hpp"

namespace skep {

inline constexpr uint64_t k_second = 1'000'000'000;  // ns

__extension__ typedef unsigned __int128 WideUnsigned;

// value * numerator / denominator, rounded down; saturates at 2^64-1.
constexpr uint64_t scale(uint64_t value, uint64_t numerator, uint64_t denominator) {
    const WideUnsigned wide = static_cast<WideUnsigned>(value) * numerator / denominator;
    return wide > ~uint64_t{0} ? ~uint64_t{0} : static_cast<uint64_t>(wide);
}
// The same, rounded up.
constexpr uint64_t scale_up(uint64_t value, uint64_t numerator, uint64_t denominator) {
    const WideUnsigned wide = (static_cast<WideUnsigned>(value) * numerator + (denominator - 1)) / denominator;
    return wide > ~uint64_t{0} ? ~uint64_t{0} : static_cast<uint64_t>(wide);
}

constexpr uint64_t ticks_of(Nanoseconds time, uint64_t hertz) {
    return scale(time, hertz, k_second);
}
// The first nanosecond at which ticks_of() gives `ticks`.
constexpr Nanoseconds time_of(uint64_t ticks, uint64_t hertz) {
    return scale_up(ticks, k_second, hertz);
}

constexpr uint64_t saturating_add(uint64_t a, uint64_t b) {
    return a > ~uint64_t{0} - b ? ~uint64_t{0} : a + b;
}

// No timer of the board fires more often than this: a guest that programs less gets ticks merged, as on a
// busy host anyway, instead of keeping a host thread spinning.
inline constexpr Nanoseconds k_shortest_rearm = 20'000;

}  // namespace skep
