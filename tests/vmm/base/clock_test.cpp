// SPDX-License-Identifier: GPL-3.0-or-later
// The host's clock stands still while paused, and makes up for as much of the pause as it is told.
#include "vmm/base/clock.hpp"

#include <gtest/gtest.h>

#include <future>

namespace skep {
namespace {

constexpr Nanoseconds k_second = 1'000'000'000;

TEST(HostClock, paused_clock_stands_still_and_goes_on_from_there) {
    HostClock clock;
    clock.pause();
    clock.set_now(7 * k_second);
    EXPECT_EQ(clock.now(), 7 * k_second);
    EXPECT_EQ(clock.now(), 7 * k_second);
    clock.resume();
    EXPECT_GE(clock.now(), 7 * k_second);
    EXPECT_LT(clock.now(), 17 * k_second);
}

TEST(HostClock, missed_time_is_added_once) {
    HostClock clock;
    clock.pause();
    clock.set_now(k_second);
    clock.resume(3600 * k_second);
    EXPECT_GE(clock.now(), 3601 * k_second);
    EXPECT_LT(clock.now(), 3611 * k_second);
    clock.resume(3600 * k_second);  // is running
    EXPECT_LT(clock.now(), 3611 * k_second);
}

TEST(HostClock, timers_that_fell_due_in_missed_time_run_at_the_resume) {
    HostClock clock;
    clock.pause();
    clock.set_now(0);
    std::promise<Nanoseconds> ran;
    const auto timer = clock.make_timer([&] { ran.set_value(clock.now()); });
    timer->arm(1000 * k_second);
    clock.resume(2000 * k_second);
    auto when = ran.get_future();
    ASSERT_EQ(when.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    EXPECT_GE(when.get(), 2000 * k_second);
}

}  // namespace
}  // namespace skep
