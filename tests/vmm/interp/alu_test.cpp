// SPDX-License-Identifier: GPL-3.0-or-later
// Integer instructions with hand-made vectors (SDM 2).
#include <gtest/gtest.h>

#include "tests/support/cpu_harness.hpp"

namespace skep::test {
namespace {

using interp::k_flag_af;
using interp::k_flag_cf;
using interp::k_flag_of;
using interp::k_flag_pf;
using interp::k_flag_sf;
using interp::k_flag_zf;

TEST(Alu, add_with_carry_out_sets_flags) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xffff'ffff;
    cpu.state.gpr[k_rcx] = 1;
    EXPECT_EQ(cpu.run({0x01, 0xc8}), RunExit::halted);  // add eax, ecx
    EXPECT_EQ(cpu.gpr(k_rax), 0U);
    EXPECT_EQ(cpu.arithmetic_flags(), uint64_t{k_flag_cf} | k_flag_zf | k_flag_pf | k_flag_af);
    EXPECT_EQ(cpu.state.rip, CpuHarness::k_code + 3);
}

TEST(Alu, add_8_bit_signed_overflow_sets_of) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1122'3344'5566'777f;
    cpu.run({0x04, 0x01});  // add al, 1
    EXPECT_EQ(cpu.gpr(k_rax), 0x1122'3344'5566'7780U);
    EXPECT_EQ(cpu.arithmetic_flags(), uint64_t{k_flag_of} | k_flag_sf | k_flag_af);
}

TEST(Alu, high_byte_register_changes_only_itself) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1234;
    cpu.run({0x80, 0xc4, 0x10});  // add ah, 0x10
    EXPECT_EQ(cpu.gpr(k_rax), 0x2234U);
}

TEST(Alu, sixteen_bit_keeps_upper_thirty_two_bit_clears) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = cpu.state.gpr[k_rbx] = 0xffff'ffff'ffff'ffff;
    cpu.run({0x66, 0xff, 0xc0, 0xff, 0xc3});  // inc ax; inc ebx
    EXPECT_EQ(cpu.gpr(k_rax), 0xffff'ffff'ffff'0000U);
    EXPECT_EQ(cpu.gpr(k_rbx), 0U);
}

TEST(Alu, inc_and_dec_keep_carry) {
    CpuHarness cpu;
    cpu.run({0xf9, 0xff, 0xc0});  // stc; inc eax
    EXPECT_EQ(cpu.arithmetic_flags(), uint64_t{k_flag_cf});
}

TEST(Alu, adc_and_sbb_take_carry_in) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 5;
    cpu.state.gpr[k_rcx] = 5;
    // stc; adc eax, 1; stc; sbb ecx, 1
    cpu.run({0xf9, 0x83, 0xd0, 0x01, 0xf9, 0x83, 0xd9, 0x01});
    EXPECT_EQ(cpu.gpr(k_rax), 7U);
    EXPECT_EQ(cpu.gpr(k_rcx), 3U);
}

TEST(Alu, memory_destination_and_source) {
    CpuHarness cpu;
    cpu.write_value<uint64_t>(CpuHarness::k_data, 40);
    cpu.state.gpr[k_rbx] = CpuHarness::k_data;
    cpu.state.gpr[k_rcx] = 2;
    // add [rbx], rcx; sub rcx, [rbx]; xor dword [rbx+8], -1
    cpu.run({0x48, 0x01, 0x0b, 0x48, 0x2b, 0x0b, 0x83, 0x73, 0x08, 0xff});
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data), 42U);
    EXPECT_EQ(cpu.gpr(k_rcx), static_cast<uint64_t>(-40));
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data + 8), 0xffff'ffffU);
}

TEST(Alu, shift_by_zero_keeps_flags_and_clears_upper_half) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xffff'ffff'0000'0001;
    cpu.run({0xf9, 0xd3, 0xe0});  // stc; shl eax, cl (cl = 0)
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
    EXPECT_EQ(cpu.arithmetic_flags() & k_flag_cf, uint64_t{k_flag_cf});
}

TEST(Alu, rotates_through_carry) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x80;
    cpu.run({0xf8, 0xd0, 0xd0, 0xd0, 0xd0});  // clc; rcl al,1; rcl al,1
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
}

TEST(Alu, shld_and_shrd_move_bits_between_registers) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1234'5678;
    cpu.state.gpr[k_rdx] = 0x9abc'def0;
    cpu.state.gpr[k_rbx] = 0x1234'5678;
    cpu.run({0x0f, 0xa4, 0xd0, 0x08, 0x0f, 0xac, 0xd3, 0x08});  // shld eax, edx, 8; shrd ebx, edx, 8
    EXPECT_EQ(cpu.gpr(k_rax), 0x3456'789aU);
    EXPECT_EQ(cpu.gpr(k_rbx), 0xf012'3456U);
}

TEST(Alu, multiply_and_divide) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xffff'ffff'ffff'ffff;
    cpu.state.gpr[k_rcx] = 3;
    cpu.run({0x48, 0xf7, 0xe1});  // mul rcx
    EXPECT_EQ(cpu.gpr(k_rax), 0xffff'ffff'ffff'fffdU);
    EXPECT_EQ(cpu.gpr(k_rdx), 2U);
    EXPECT_EQ(cpu.arithmetic_flags() & (k_flag_cf | k_flag_of), uint64_t{k_flag_cf} | k_flag_of);
    cpu.state.rip = CpuHarness::k_code;
    cpu.run({0x48, 0xf7, 0xf1});  // div rcx
    EXPECT_EQ(cpu.gpr(k_rax), 0xffff'ffff'ffff'ffffU);
    EXPECT_EQ(cpu.gpr(k_rdx), 0U);
    cpu.state.rip = CpuHarness::k_code;
    cpu.state.gpr[k_rax] = static_cast<uint64_t>(-7);
    cpu.run({0x99, 0xf7, 0xf9});  // cdq; idiv ecx
    EXPECT_EQ(cpu.gpr(k_rax), 0xffff'fffeU);
    EXPECT_EQ(cpu.gpr(k_rdx), 0xffff'ffffU);
}

TEST(Alu, mul_8_bit_result_in_ax) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xff;
    cpu.state.gpr[k_rcx] = 0xff;
    cpu.run({0xf6, 0xe1});  // mul cl
    EXPECT_EQ(cpu.gpr(k_rax), 0xfe01U);
    cpu.state.rip = CpuHarness::k_code;
    cpu.state.gpr[k_rax] = 0x80;
    cpu.state.gpr[k_rcx] = 2;
    cpu.run({0xf6, 0xe9});  // imul cl
    EXPECT_EQ(cpu.gpr(k_rax), 0xff00U);
    EXPECT_EQ(cpu.arithmetic_flags() & k_flag_of, uint64_t{k_flag_of});
}

TEST(Alu, widening_moves) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x80ff;
    // movzx ecx, al; movsx rdx, ax; movsx bx, al; movsxd rsi, eax
    cpu.run({0x0f, 0xb6, 0xc8, 0x48, 0x0f, 0xbf, 0xd0, 0x66, 0x0f, 0xbe, 0xd8, 0x48, 0x63, 0xf0});
    EXPECT_EQ(cpu.gpr(k_rcx), 0xffU);
    EXPECT_EQ(cpu.gpr(k_rdx), 0xffff'ffff'ffff'80ffU);
    EXPECT_EQ(cpu.gpr(k_rbx), 0xffffU);
    EXPECT_EQ(cpu.gpr(k_rsi), 0x80ffU);
}

TEST(Alu, lea_forms) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1'0000'0000;
    cpu.state.gpr[k_rcx] = 3;
    // lea rdx, [rax+rcx*8+16]; lea ebx, [rax+rcx]; lea rsi, [rip+0x100]; a32 lea rdi, [eax+ecx]
    cpu.run({0x48, 0x8d, 0x54, 0xc8, 0x10, 0x8d, 0x1c, 0x08, 0x48, 0x8d, 0x35, 0x00, 0x01, 0x00, 0x00, 0x67, 0x48, 0x8d,
             0x3c, 0x08});
    EXPECT_EQ(cpu.gpr(k_rdx), 0x1'0000'0028U);
    EXPECT_EQ(cpu.gpr(k_rbx), 3U);
    EXPECT_EQ(cpu.gpr(k_rsi), CpuHarness::k_code + 15 + 0x100);
    EXPECT_EQ(cpu.gpr(k_rdi), 3U);
}

TEST(Alu, bit_test_memory_reaches_outside_the_operand) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
    cpu.state.gpr[k_rax] = static_cast<uint64_t>(-1);
    cpu.state.gpr[k_rcx] = 100;
    cpu.run({0x48, 0x0f, 0xab, 0x03, 0x0f, 0xab, 0x0b});  // bts [rbx], rax; bts [rbx], ecx
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data + 56), uint64_t{1} << 63);
    EXPECT_EQ(cpu.read<uint32_t>(CpuHarness::k_data + 64 + 12), uint32_t{1} << 4);
}

TEST(Alu, bsf_of_zero_leaves_destination) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0x1'2345'6789;
    cpu.run({0x0f, 0xbc, 0xc1});  // bsf eax, ecx (0)
    EXPECT_EQ(cpu.gpr(k_rax), 0x1'2345'6789U);
    EXPECT_EQ(cpu.arithmetic_flags() & k_flag_zf, uint64_t{k_flag_zf});
}

TEST(Alu, conditional_moves_and_sets) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xffff'ffff'0000'0001;
    cpu.state.gpr[k_rcx] = 7;
    cpu.state.gpr[k_rdx] = 0x5500;
    // cmp ecx, 8; cmovg eax, ecx (false: upper half cleared); setl dl
    cpu.run({0x83, 0xf9, 0x08, 0x0f, 0x4f, 0xc1, 0x0f, 0x9c, 0xc2});
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
    EXPECT_EQ(cpu.gpr(k_rdx), 0x5501U);
}

TEST(Alu, compare_exchange_and_exchange_add) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = CpuHarness::k_data;
    cpu.state.gpr[k_rax] = 5;
    cpu.state.gpr[k_rcx] = 9;
    cpu.write_value<uint32_t>(CpuHarness::k_data, 5);
    // lock cmpxchg [rbx], ecx; lock xadd [rbx], eax
    cpu.run({0xf0, 0x0f, 0xb1, 0x0b, 0xf0, 0x0f, 0xc1, 0x03});
    EXPECT_EQ(cpu.read<uint32_t>(CpuHarness::k_data), 14U);
    EXPECT_EQ(cpu.gpr(k_rax), 9U);
}

TEST(Alu, compare_exchange_16_bytes) {
    CpuHarness cpu;
    cpu.state.gpr[k_rsi] = CpuHarness::k_data;
    cpu.state.gpr[k_rax] = 1;
    cpu.state.gpr[k_rdx] = 2;
    cpu.state.gpr[k_rbx] = 3;
    cpu.state.gpr[k_rcx] = 4;
    cpu.write_value<uint64_t>(CpuHarness::k_data, 1);
    cpu.write_value<uint64_t>(CpuHarness::k_data + 8, 2);
    cpu.run({0xf0, 0x48, 0x0f, 0xc7, 0x0e});  // lock cmpxchg16b [rsi]
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data), 3U);
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data + 8), 4U);
    EXPECT_EQ(cpu.arithmetic_flags() & k_flag_zf, uint64_t{k_flag_zf});
}

TEST(Alu, decimal_adjustments) {
    CpuHarness cpu(CpuMode::protected32);
    cpu.state.gpr[k_rax] = 0x79;
    cpu.run({0x04, 0x35, 0x27});  // add al, 0x35; daa
    EXPECT_EQ(cpu.gpr(k_rax), 0x14U);
    EXPECT_EQ(cpu.arithmetic_flags() & k_flag_cf, uint64_t{k_flag_cf});
    cpu.state.rip = CpuHarness::k_code;
    cpu.state.gpr[k_rax] = 63;
    cpu.run({0xd4, 0x0a});  // aam
    EXPECT_EQ(cpu.gpr(k_rax), 0x0603U);
    cpu.state.rip = CpuHarness::k_code;
    cpu.run({0xd5, 0x0a});  // aad
    EXPECT_EQ(cpu.gpr(k_rax), 63U);
}

TEST(Alu, crc32_is_castagnoli) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 0xffff'ffff;
    cpu.state.gpr[k_rcx] = 'a';
    cpu.run({0xf2, 0x0f, 0x38, 0xf0, 0xc1});  // crc32 eax, cl
    EXPECT_EQ(~static_cast<uint32_t>(cpu.gpr(k_rax)), 0xc1d0'4330U);
}

}  // namespace
}  // namespace skep::test
