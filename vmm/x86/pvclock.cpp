// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/pvclock.hpp"

namespace skep::x86 {

__extension__ using Wide = unsigned __int128;

TscScale tsc_scale(uint64_t tsc_hz) {
    constexpr uint64_t k_ns_a_second = 1'000'000'000;
    constexpr int k_most_shift = 31;
    // multiplier = 2^32 * 10^9 / (hz * 2^shift), to lie in [2^31, 2^32).
    Wide numerator = Wide{k_ns_a_second} << 32;
    Wide denominator = tsc_hz == 0 ? 1 : tsc_hz;
    TscScale scale;
    while (numerator / denominator >= Wide{1} << 32 && scale.shift < k_most_shift) {
        denominator <<= 1;
        ++scale.shift;
    }
    while (numerator / denominator < Wide{1} << 31 && scale.shift > -k_most_shift) {
        numerator <<= 1;
        --scale.shift;
    }
    scale.multiplier = static_cast<uint32_t>(numerator / denominator);
    return scale;
}

uint64_t nanoseconds_of(const TscScale& scale, uint64_t ticks) {
    const uint64_t shifted = scale.shift < 0 ? ticks >> -scale.shift : ticks << scale.shift;
    return static_cast<uint64_t>(Wide{shifted} * scale.multiplier >> 32);
}

}  // namespace skep::x86
