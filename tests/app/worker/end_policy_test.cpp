// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/end_policy.hpp"

#include <gtest/gtest.h>

namespace skep {
namespace {

constexpr Nanoseconds k_late = EndPolicy::k_soon * 2;

TEST(EndPolicy, defaults_restart_on_reboot_only_and_leave_a_panic_to_the_guest) {
    EndPolicy policy{VmSpec{}};
    EXPECT_EQ(policy.decide(GuestEnd::reboot, 0), EndAction::restart);
    EXPECT_EQ(policy.decide(GuestEnd::power_off, 0), EndAction::exit);
    EXPECT_EQ(policy.decide(GuestEnd::halt, 0), EndAction::exit);
    EXPECT_EQ(policy.decide(GuestEnd::crash, 0), EndAction::exit);
    EXPECT_EQ(policy.decide(GuestEnd::panic, 0), EndAction::keep);
}

TEST(EndPolicy, every_choice_is_done) {
    VmSpec spec;
    spec.on_reboot = OnReboot::exit;
    spec.on_power_off = spec.on_halt = spec.on_crash = AtEnd::restart;
    spec.on_panic = OnPanic::restart;
    EndPolicy policy(spec);
    EXPECT_EQ(policy.decide(GuestEnd::reboot, 0), EndAction::exit);
    EXPECT_EQ(policy.decide(GuestEnd::power_off, k_late), EndAction::restart);
    EXPECT_EQ(policy.decide(GuestEnd::halt, 2 * k_late), EndAction::restart);
    EXPECT_EQ(policy.decide(GuestEnd::crash, 3 * k_late), EndAction::restart);
    EXPECT_EQ(policy.decide(GuestEnd::panic, 4 * k_late), EndAction::restart);
    spec.on_panic = OnPanic::pause;
    EXPECT_EQ(EndPolicy(spec).decide(GuestEnd::panic, 0), EndAction::pause);
    spec.on_panic = OnPanic::exit;
    EXPECT_EQ(EndPolicy(spec).decide(GuestEnd::panic, 0), EndAction::exit);
}

TEST(EndPolicy, guest_asked_to_turn_off_is_not_started_again_by_that) {
    VmSpec spec;
    spec.on_power_off = AtEnd::restart;
    EndPolicy policy(spec);
    policy.turning_off_was_asked();
    EXPECT_EQ(policy.decide(GuestEnd::power_off, k_late), EndAction::exit);
}

TEST(EndPolicy, reboot_instead_of_turning_off_forgets_that_it_was_asked) {
    VmSpec spec;
    spec.on_power_off = AtEnd::restart;
    EndPolicy policy(spec);
    policy.turning_off_was_asked();
    EXPECT_EQ(policy.decide(GuestEnd::reboot, k_late), EndAction::restart);
    EXPECT_EQ(policy.decide(GuestEnd::power_off, 2 * k_late), EndAction::restart);
}

TEST(EndPolicy, guest_that_crashes_at_every_start_is_given_up) {
    VmSpec spec;
    spec.on_crash = AtEnd::restart;
    EndPolicy policy(spec);
    for (unsigned count = 1; count < EndPolicy::k_most_soon; ++count) {
        EXPECT_EQ(policy.decide(GuestEnd::crash, count), EndAction::restart);
    }
    EXPECT_EQ(policy.decide(GuestEnd::crash, EndPolicy::k_most_soon), EndAction::exit);
}

TEST(EndPolicy, guest_that_ran_for_a_while_has_all_its_chances_again) {
    VmSpec spec;
    spec.on_crash = AtEnd::restart;
    EndPolicy policy(spec);
    for (unsigned count = 1; count <= 5 * EndPolicy::k_most_soon; ++count) {
        const Nanoseconds pause = count % 2 == 0 ? k_late : 1;
        EXPECT_EQ(policy.decide(GuestEnd::crash, count * k_late + pause), EndAction::restart) << count;
    }
}

}  // namespace
}  // namespace skep
