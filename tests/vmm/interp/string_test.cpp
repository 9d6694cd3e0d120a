// SPDX-License-Identifier: GPL-3.0-or-later
// String instructions: bulk runs, directions, overlap, faults and interruptions in the middle.
#include <gtest/gtest.h>

#include "tests/support/cpu_harness.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_data = CpuHarness::k_data;

TEST(String, rep_movs_copies_across_pages) {
    CpuHarness cpu;
    for (uint64_t i = 0; i < 10'000; ++i) {
        cpu.write_value<uint8_t>(k_data + i, static_cast<uint8_t>(i * 7));
    }
    cpu.state.gpr[k_rsi] = k_data;
    cpu.state.gpr[k_rdi] = k_data + 0x10123;
    cpu.state.gpr[k_rcx] = 10'000;
    cpu.run({0xf3, 0xa4});
    EXPECT_EQ(cpu.gpr(k_rcx), 0U);
    EXPECT_EQ(cpu.gpr(k_rsi), k_data + 10'000);
    EXPECT_EQ(cpu.gpr(k_rdi), k_data + 0x10123 + 10'000);
    for (uint64_t i = 0; i < 10'000; ++i) {
        ASSERT_EQ(cpu.read<uint8_t>(k_data + 0x10123 + i), static_cast<uint8_t>(i * 7));
    }
}

TEST(String, overlapping_forward_copy_repeats_the_pattern) {
    CpuHarness cpu;
    cpu.write(k_data, {1, 2, 3, 4});
    cpu.state.gpr[k_rsi] = k_data;
    cpu.state.gpr[k_rdi] = k_data + 2;
    cpu.state.gpr[k_rcx] = 10;
    cpu.run({0xf3, 0xa4});
    for (uint64_t i = 0; i < 12; ++i) {
        EXPECT_EQ(cpu.read<uint8_t>(k_data + i), 1 + i % 2) << i;
    }
}

TEST(String, backward_copy_moves_down) {
    CpuHarness cpu;
    cpu.write(k_data, {1, 2, 3, 4});
    cpu.state.gpr[k_rsi] = k_data + 3;
    cpu.state.gpr[k_rdi] = k_data + 5;
    cpu.state.gpr[k_rcx] = 4;
    cpu.run({0xfd, 0xf3, 0xa4});  // std; rep movsb
    EXPECT_EQ(cpu.read<uint32_t>(k_data + 2), 0x0403'0201U);
    EXPECT_EQ(cpu.gpr(k_rdi), k_data + 1);
}

TEST(String, rep_stos_fills_by_width) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1122'3344;
    cpu.state.gpr[k_rdi] = k_data + 0xffe;
    cpu.state.gpr[k_rcx] = 2048;
    cpu.run({0xf3, 0xab});  // rep stosd, misaligned over page ends
    for (uint64_t i = 0; i < 2048; ++i) {
        ASSERT_EQ(cpu.read<uint32_t>(k_data + 0xffe + i * 4), 0x1122'3344U) << i;
    }
    EXPECT_EQ(cpu.read<uint32_t>(k_data + 0xffe + 2048 * 4), 0U);
}

TEST(String, repe_cmps_stops_behind_the_difference) {
    CpuHarness cpu;
    cpu.write(k_data, {1, 2, 3, 4, 5});
    cpu.write(k_data + 0x100, {1, 2, 9, 4, 5});
    cpu.state.gpr[k_rsi] = k_data;
    cpu.state.gpr[k_rdi] = k_data + 0x100;
    cpu.state.gpr[k_rcx] = 5;
    cpu.run({0xf3, 0xa6});
    EXPECT_EQ(cpu.gpr(k_rcx), 2U);
    EXPECT_EQ(cpu.gpr(k_rsi), k_data + 3);
    EXPECT_EQ(cpu.state.rflags & 0x41, 1U);  // 3 - 9: CF, not ZF
}

TEST(String, repne_scas_finds_the_byte) {
    CpuHarness cpu;
    cpu.write_value<uint8_t>(k_data + 5000, 0x42);
    cpu.state.gpr[k_rax] = 0x42;
    cpu.state.gpr[k_rdi] = k_data;
    cpu.state.gpr[k_rcx] = 0xffff;
    cpu.run({0xf2, 0xae});
    EXPECT_EQ(cpu.gpr(k_rdi), k_data + 5001);
    EXPECT_EQ(cpu.gpr(k_rcx), 0xffffU - 5001);
}

TEST(String, fault_in_the_middle_leaves_exact_registers) {
    CpuHarness cpu;
    cpu.state.gpr[k_rsi] = k_data;
    cpu.state.gpr[k_rdi] = 0x4000'0000 - 100;  // the mapping ends at 1 GiB; RAM ends before, so this is MMIO
    cpu.state.gpr[k_rcx] = 200;
    EXPECT_EQ(cpu.run({0xf3, 0xa4}), RunExit::shutdown);
    EXPECT_EQ(cpu.gpr(k_rcx), 100U);
    EXPECT_EQ(cpu.gpr(k_rdi), 0x4000'0000U);
    EXPECT_EQ(cpu.gpr(k_rsi), k_data + 100);
}

TEST(String, outs_is_interrupted_by_a_kick_and_goes_on) {
    CpuHarness cpu;
    cpu.write(k_data, {10, 11, 12, 13});
    cpu.io.on_port_write = [&](uint16_t, uint32_t value) {
        if (value == 11) {
            cpu.vcpu().kick(KickReason::leave);
        }
    };
    cpu.state.gpr[k_rsi] = k_data;
    cpu.state.gpr[k_rcx] = 4;
    cpu.state.gpr[k_rdx] = 0x80;
    EXPECT_EQ(cpu.run({0xf3, 0x6e}), RunExit::kicked);  // rep outsb
    EXPECT_EQ(cpu.gpr(k_rcx), 2U);
    EXPECT_EQ(cpu.state.rip, CpuHarness::k_code);
    EXPECT_EQ(cpu.resume(), RunExit::halted);
    ASSERT_EQ(cpu.io.writes.size(), 4U);
    EXPECT_EQ(cpu.io.writes[3].value, 13U);
}

TEST(String, sixteen_bit_addresses_wrap) {
    CpuHarness cpu(CpuMode::real16);
    cpu.state.segment[k_es].base = 0x20000;
    cpu.state.gpr[k_rax] = 0x5a;
    cpu.state.gpr[k_rdi] = 0xfffe;
    cpu.state.gpr[k_rcx] = 4;
    cpu.run({0xf3, 0xaa});  // rep stosb
    EXPECT_EQ(cpu.gpr(k_rdi), 2U);
    EXPECT_EQ(cpu.read<uint16_t>(0x2fffe), 0x5a5aU);
    EXPECT_EQ(cpu.read<uint16_t>(0x20000), 0x5a5aU);
    EXPECT_EQ(cpu.read<uint16_t>(0x30000), 0U);
}

// The source faults first, so nothing was asked of the destination's page.
TEST(String, faulting_source_leaves_the_destination_page_untouched) {
    constexpr uint64_t k_source = 0x20'0000, k_destination = 0x40'0000, k_entries = CpuHarness::k_tables + 0x2000;
    for (const uint8_t opcode : {0xa4, 0xa6}) {  // MOVSB, CMPSB
        CpuHarness cpu;
        cpu.write_value<uint64_t>(k_entries + 8, 0);
        cpu.state.gpr[k_rsi] = k_source;
        cpu.state.gpr[k_rdi] = k_destination;
        cpu.state.gpr[k_rcx] = 100;
        EXPECT_EQ(cpu.run({0xf3, opcode}), RunExit::shutdown);
        EXPECT_EQ(cpu.state.cr2, k_source);
        EXPECT_EQ(cpu.read<uint64_t>(k_entries + 16) & 0x60, 0U) << "accessed, dirty";
    }
}

}  // namespace
}  // namespace skep::test
