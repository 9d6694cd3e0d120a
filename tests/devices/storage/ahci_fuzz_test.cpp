// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps the fuzz target compiling and its language meaningful: a short run of it with a fixed seed.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/fuzz/ahci_fuzz.cpp"

namespace skep::test {
namespace {

TEST(AhciFuzz, RandomPrograms_SaveLoadAndAccesses_RunToTheirEnd) {
    std::mt19937 random(2024);
    for (unsigned round = 0; round < 150; ++round) {
        std::vector<uint8_t> program(1024);
        for (uint8_t& byte : program) {
            byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 16);
        }
        EXPECT_EQ(LLVMFuzzerTestOneInput(program.data(), program.size()), 0);
    }
    set_log_level(LogLevel::info);
}

}  // namespace
}  // namespace skep::test
