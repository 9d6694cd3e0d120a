// SPDX-License-Identifier: GPL-3.0-or-later
// kvmclock's arithmetic.
#include "vmm/x86/pvclock.hpp"

#include <gtest/gtest.h>

namespace skep::x86 {
namespace {

TEST(PvClock, scale_keeps_every_bit_of_its_multiplier) {
    for (const uint64_t hertz : {1'000'000ULL, 800'000'003ULL, 1'000'000'000ULL, 2'445'406'000ULL, 5'800'000'000ULL}) {
        EXPECT_GE(tsc_scale(hertz).multiplier, 0x8000'0000U) << hertz;
    }
    EXPECT_EQ(tsc_scale(1'000'000'000).multiplier, 0x8000'0000U);
    EXPECT_EQ(tsc_scale(1'000'000'000).shift, 1);
    EXPECT_EQ(tsc_scale(2'000'000'000).shift, 0);
    EXPECT_EQ(tsc_scale(4'000'000'000).shift, -1);
}

TEST(PvClock, year_of_ticks_is_right_to_a_tenth_of_a_second) {
    constexpr uint64_t k_year = 31'557'600;
    for (const uint64_t hertz : {800'000'003ULL, 2'445'406'000ULL, 5'800'000'000ULL}) {
        const uint64_t ns = nanoseconds_of(tsc_scale(hertz), hertz * k_year);
        EXPECT_NEAR(static_cast<double>(ns), k_year * 1e9, 1e8) << hertz;
    }
}

TEST(PvClock, linux_reads_the_frequency_back) {
    for (const uint64_t hertz : {800'000'000ULL, 2'445'406'000ULL, 3'693'000'000ULL}) {
        const TscScale scale = tsc_scale(hertz);
        // pvclock_tsc_khz() of the kernel
        uint64_t khz = (uint64_t{1'000'000} << 32) / scale.multiplier;
        khz = scale.shift < 0 ? khz << -scale.shift : khz >> scale.shift;
        EXPECT_NEAR(static_cast<double>(khz), static_cast<double>(hertz) / 1000, 2) << hertz;
    }
}

TEST(PvClock, zero_frequency_gives_some_scale) { EXPECT_NE(tsc_scale(0).multiplier, 1U); }

}  // namespace
}  // namespace skep::x86
