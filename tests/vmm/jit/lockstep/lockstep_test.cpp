// SPDX-License-Identifier: GPL-3.0-or-later
// The lock-step harness in CI. SKEP_LOCKSTEP_BLOCKS: how much of it; SKEP_LOCKSTEP_SEED: to repeat a failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/vmm/jit/lockstep/engines.hpp"
#include "tests/vmm/jit/lockstep/lockstep.hpp"

namespace skep::lockstep {
namespace {

uint64_t environment_number(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string run(const char* reference_name, const char* other_name, uint64_t seed, uint64_t blocks) {
    const auto reference = make_engine(reference_name), other = make_engine(other_name);
    const auto exact = make_engine(other_name, jit::FlagsOfProducts::as_the_host);
    Lockstep lockstep(*reference, *other, exact.get());
    std::string report = lockstep.run_many(seed, blocks);
    if (report.empty()) {
        EXPECT_GT(lockstep.totals().events, lockstep.totals().cases) << "programs without events test less than they should";
    }
    return report;
}

// The harness itself: an engine that is stopped and moved all the time is equal, one that is wrong in one bit is not.
TEST(Lockstep, interpreter_equals_itself_saved_and_loaded_at_every_access) {
    const uint64_t blocks = environment_number("SKEP_LOCKSTEP_BLOCKS", 40'000);
    EXPECT_EQ(run("interp", "choppy", environment_number("SKEP_LOCKSTEP_SEED", 1), blocks), "");
}
// POPFQ sets TF, the next instruction writes to a device: what is saved then has a single-step trap to come.
TEST(Lockstep, a_trap_that_is_due_survives_saving) {
    const auto reference = make_engine("interp"), other = make_engine("choppy");
    EXPECT_EQ(Lockstep(*reference, *other).run_seed(1078141478125), "");
}
// Self-modifying programs into which a multiplication has come by accident, and an event before its flags are defined.
class UndefinedFlags : public testing::TestWithParam<uint64_t> {};
TEST_P(UndefinedFlags, are_as_the_host_has_them_when_asked_for) {
    const auto reference = make_engine("interp"), other = make_engine("jit", jit::FlagsOfProducts::as_the_host);
    EXPECT_EQ(Lockstep(*reference, *other).run_seed(GetParam()), "");
}
TEST_P(UndefinedFlags, are_no_difference) {
    const auto reference = make_engine("interp"), other = make_engine("jit");
    const auto exact = make_engine("jit", jit::FlagsOfProducts::as_the_host);
    Lockstep lockstep(*reference, *other, exact.get());
    EXPECT_EQ(lockstep.run_seed(GetParam()), "");
}
INSTANTIATE_TEST_SUITE_P(Lockstep, UndefinedFlags, testing::Values(3887852486771, 10477633397161, 3672004496330));

// STI at the end of a block is the interpreter's, and no code follows it there.
TEST(Lockstep, sti_at_the_end_of_a_block_leaves_the_region) {
    const auto reference = make_engine("interp"), other = make_engine("jit-warm");
    EXPECT_EQ(Lockstep(*reference, *other).run_seed(12723077444582), "");
}

class WrongEngine : public testing::TestWithParam<const char*> {};
TEST_P(WrongEngine, is_found_out) {
    const auto reference = make_engine("interp"), other = make_engine(GetParam());
    Lockstep lockstep(*reference, *other);
    bool found = false;
    for (uint64_t n = 0; n < 200 && !found; ++n) {
        found = !lockstep.run_seed(case_seed(7, n)).empty();
    }
    EXPECT_TRUE(found);
}
INSTANTIATE_TEST_SUITE_P(Lockstep, WrongEngine, testing::Values("wrong-flag", "wrong-register", "wrong-memory", "wrong-vector"));

// The same programs every time; SKEP_LOCKSTEP_SEED for others.
uint64_t chosen_seed() { return environment_number("SKEP_LOCKSTEP_SEED", 64); }

TEST(Lockstep, translator_equals_interpreter) {
    const uint64_t seed = chosen_seed(), blocks = environment_number("SKEP_LOCKSTEP_BLOCKS", 100'000);
    EXPECT_EQ(run("interp", "jit", seed, blocks), "") << "SKEP_LOCKSTEP_SEED=" << seed;
}
TEST(Lockstep, regions_of_what_ran_equal_interpreter) {
    const uint64_t seed = chosen_seed(), blocks = environment_number("SKEP_LOCKSTEP_BLOCKS", 100'000);
    EXPECT_EQ(run("interp", "jit-warm", seed, blocks / 2), "") << "SKEP_LOCKSTEP_SEED=" << seed;
}
TEST(Lockstep, translator_with_full_cache_equals_interpreter) {
    const uint64_t seed = chosen_seed(), blocks = environment_number("SKEP_LOCKSTEP_BLOCKS", 100'000);
    EXPECT_EQ(run("interp", "jit-small", seed, blocks / 3), "") << "SKEP_LOCKSTEP_SEED=" << seed;
}
TEST(Lockstep, translator_interrupted_anywhere_is_at_a_boundary_of_the_interpreter) {
    const uint64_t seed = chosen_seed(), blocks = environment_number("SKEP_LOCKSTEP_BLOCKS", 100'000) / 3;
    const auto reference = make_engine("interp"), other = make_engine("jit", jit::FlagsOfProducts::as_the_host);
    Lockstep lockstep(*reference, *other);
    for (uint64_t n = 0; lockstep.totals().blocks < blocks; ++n) {
        ASSERT_EQ(lockstep.run_seed_interrupted(case_seed(seed, n)), "") << "SKEP_LOCKSTEP_SEED=" << seed;
    }
    EXPECT_GT(lockstep.totals().interruptions, 100U);
}

// While a translator lives that has made code.
TEST(Lockstep, no_page_is_writable_and_executable) {
    const auto reference = make_engine("interp"), other = make_engine("jit");
    Lockstep lockstep(*reference, *other);
    EXPECT_EQ(lockstep.run_many(1, 1000), "");
    std::ifstream maps("/proc/self/maps");
    unsigned executable = 0;
    for (std::string line; std::getline(maps, line);) {
        const std::string rights = line.substr(line.find(' ') + 1, 4);
        EXPECT_FALSE(rights[1] == 'w' && rights[2] == 'x') << line;
        executable += rights[2] == 'x';
    }
    EXPECT_GT(executable, 0U);
}

}  // namespace
}  // namespace skep::lockstep
