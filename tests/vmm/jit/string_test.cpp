// SPDX-License-Identifier: GPL-3.0-or-later
// REP MOVS and REP STOS, inside a page and not, on both engines.
#include <gtest/gtest.h>

#include <array>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

constexpr uint8_t k_cld = 0xfc, k_std = 0xfd;

struct Block {
    uint64_t from = CpuHarness::k_data, to = CpuHarness::k_data + 0x3000;
    uint32_t count = 0;
    uint8_t direction = k_cld;
};

void append(Bytes& body, const Bytes& more) { body.insert(body.end(), more.begin(), more.end()); }

// For each: direction; mov ecx, count; push rsi; push rdi; the instruction; pop rdi; pop rsi; add rax, rcx; cld
void compare_all(const Block& block) {
    const std::array<Bytes, 8> instructions{Bytes{0xf3, 0xa4}, {0x66, 0xf3, 0xa5}, {0xf3, 0xa5}, {0xf3, 0x48, 0xa5},
                                            {0xf3, 0xaa},      {0x66, 0xf3, 0xab}, {0xf3, 0xab}, {0xf3, 0x48, 0xab}};
    Bytes body;
    for (const Bytes& instruction : instructions) {
        append(body, {block.direction, 0xb9, static_cast<uint8_t>(block.count), static_cast<uint8_t>(block.count >> 8), 0, 0});
        append(body, Bytes{0x56, 0x57} + instruction + Bytes{0x5f, 0x5e, 0x48, 0x01, 0xc8, k_cld});
    }
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, block.count + 3);
        cpu.state.gpr[k_rsi] = block.from;
        cpu.state.gpr[k_rdi] = block.to;
        cpu.run(loop_of(body));
    });
    engines.expect_equal("block");
    EXPECT_GT(engines.stats().entries, 0U);
}

TEST(BlockInstructions, inside_a_page_compare_equal) {
    compare_all({.count = 0});
    compare_all({.count = 1});
    compare_all({.count = 37});
    compare_all({.count = 512});
}

TEST(BlockInstructions, up_to_and_across_the_end_of_a_page_compare_equal) {
    compare_all({.from = CpuHarness::k_data + 0x1000 - 8, .count = 1});
    compare_all({.from = CpuHarness::k_data + 0x1000 - 3, .count = 2});
    compare_all({.to = CpuHarness::k_data + 0x4000 - 3, .count = 2});
    compare_all({.from = CpuHarness::k_data + 0x10, .count = 4096});
}

TEST(BlockInstructions, downwards_compare_equal) {
    compare_all({.from = CpuHarness::k_data + 0x800, .to = CpuHarness::k_data + 0x3800, .count = 37, .direction = k_std});
}

TEST(BlockInstructions, onto_their_own_source_compare_equal) {
    compare_all({.from = CpuHarness::k_data, .to = CpuHarness::k_data + 3, .count = 100});
    compare_all({.from = CpuHarness::k_data + 3, .to = CpuHarness::k_data, .count = 100});
}

// The source runs on to the end of what is mapped: the fault comes with the bytes before it moved.
TEST(BlockInstructions, a_source_that_ends_faults_there) {
    constexpr uint64_t k_gigabyte = uint64_t{1} << 30;
    for (const uint64_t rest : {0, 16}) {
        Engines engines;
        engines.each([&](CpuHarness& cpu) {
            fill_state(cpu, 9);
            cpu.state.gpr[k_rsi] = k_gigabyte - 60 * 32 + rest;
            // mov ecx, 32; mov rdi, 0x13000; rep movsb
            cpu.run(loop_of({0xb9, 32, 0, 0, 0, 0x48, 0xc7, 0xc7, 0x00, 0x30, 0x01, 0x00, 0xf3, 0xa4}));
        });
        engines.expect_equal("a source that ends");
        EXPECT_GT(engines.stats().entries, 0U);
    }
}

}  // namespace
}  // namespace skep::test
