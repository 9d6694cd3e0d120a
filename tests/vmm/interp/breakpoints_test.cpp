// SPDX-License-Identifier: GPL-3.0-or-later
// Breakpoints of the debug registers, alignment checks, and operands more than 2 GiB away.
#include "tests/vmm/interp/system_bench.hpp"

namespace skep::test {
namespace {

using namespace x86;

constexpr uint64_t k_data = CpuHarness::k_data;
constexpr uint64_t k_code = CpuHarness::k_code;

// DR7 with breakpoint `number` enabled globally. kind: 0 execute, 1 write, 2 port, 3 access. length: 0..3 as encoded.
constexpr uint64_t dr7_of(unsigned number, uint64_t kind, uint64_t length) {
    return k_dr7_fixed | uint64_t{2} << (number * 2) | (kind | length << 2) << (16 + number * 4);
}

class Breakpoints : public ::testing::Test {
  protected:
    void arm(unsigned number, uint64_t address, uint64_t kind, uint64_t length) {
        bench.state.dr[number] = address;
        bench.state.dr7 |= dr7_of(number, kind, length);
    }
    // Runs; did a #DB come, as a trap in front of `rip`, for breakpoint `number`?
    void expect_hit(unsigned number, uint64_t rip) {
        ASSERT_TRUE(bench.halted_in(1)) << std::hex << bench.state.rip;
        EXPECT_EQ(bench.state.dr6 & 0xf, uint64_t{1} << number);
        EXPECT_EQ(bench.frame(0), rip);
    }
    SystemBench bench{CpuMode::long64};
};

TEST_F(Breakpoints, instruction_is_not_run_and_rf_is_pushed) {
    arm(2, k_code + 2, 0, 0);
    bench.run({0xff, 0xc0, 0xff, 0xc3});  // inc eax; inc ebx
    expect_hit(2, k_code + 2);
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.gpr(k_rbx), 0U);
    EXPECT_TRUE(bench.frame(2) & k_flag_rf);
}

TEST_F(Breakpoints, iret_with_rf_runs_the_instruction_once_and_stops_there_the_next_time) {
    arm(0, k_code, 0, 0);
    // The handler: inc ecx; cmp ecx, 3; je stop; iretq; stop: hlt
    bench.write(SystemBench::handler(1), {0xff, 0xc1, 0x83, 0xf9, 0x03, 0x74, 0x02, 0x48, 0xcf, 0xf4});
    bench.run({0xff, 0xc0, 0xeb, 0xfc});  // inc eax; jmp back
    EXPECT_EQ(bench.gpr(k_rcx), 3U);
    EXPECT_EQ(bench.gpr(k_rax), 2U);
}

TEST_F(Breakpoints, branch_trap_flag_steps_from_branch_to_branch_and_is_cleared) {
    bench.state.msr.debugctl = k_debugctl_btf | k_debugctl_lbr;
    bench.state.rflags |= k_flag_tf;
    bench.run({0xff, 0xc0, 0xff, 0xc3, 0xeb, 0x02, 0xff, 0xc0, 0xff, 0xc1});  // inc eax; inc ebx; jmp +2; inc eax; inc ecx
    ASSERT_TRUE(bench.halted_in(1)) << std::hex << bench.state.rip;
    EXPECT_EQ(bench.frame(0), k_code + 8);
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.gpr(k_rbx), 1U);
    EXPECT_TRUE(bench.state.dr6 & k_dr6_bs);
    EXPECT_EQ(bench.state.msr.debugctl, 0U);
}

TEST_F(Breakpoints, disabled_one_does_nothing) {
    arm(0, k_code, 0, 0);
    bench.state.dr7 &= ~uint64_t{0xff};
    bench.run({0xff, 0xc0});
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.state.dr6 & 0xf, 0U);
}

TEST_F(Breakpoints, write_traps_behind_the_store_and_read_does_not) {
    arm(1, k_data, 1, 3);
    bench.state.gpr[k_rbx] = k_data;
    bench.run({0x8b, 0x0b, 0x89, 0x03, 0xff, 0xc0});  // mov ecx, [rbx]; mov [rbx], eax; inc eax
    expect_hit(1, k_code + 4);
    EXPECT_FALSE(bench.frame(2) & k_flag_rf);
}

TEST_F(Breakpoints, access_traps_behind_the_load_that_only_overlaps) {
    arm(3, k_data + 4, 3, 3);
    bench.state.gpr[k_rbx] = k_data + 1;
    bench.run({0x8b, 0x0b, 0xff, 0xc0});  // mov ecx, [rbx]: bytes 1..4
    expect_hit(3, k_code + 2);
}

TEST_F(Breakpoints, neighbouring_bytes_are_free) {
    arm(0, k_data + 4, 3, 3);
    bench.state.gpr[k_rbx] = k_data;
    bench.run({0x8b, 0x0b, 0x8b, 0x4b, 0x08});  // mov ecx, [rbx]; mov ecx, [rbx+8]
    EXPECT_FALSE(bench.halted_in(1));
}

TEST_F(Breakpoints, locked_string_and_stack_accesses_count) {
    const std::vector<std::vector<uint8_t>> codes = {
        {0xf0, 0xff, 0x03},        // lock inc dword [rbx]
        {0xaa},                    // stosb
        {0x53},                    // push rbx
        {0x0f, 0x11, 0x03},        // movups [rbx], xmm0
        {0xff, 0x03},              // inc dword [rbx]
        {0xf3, 0xaa},              // rep stosb
    };
    for (const auto& code : codes) {
        SystemBench one(CpuMode::long64);
        one.state.dr[0] = k_data;
        one.state.dr7 = dr7_of(0, 1, 2);
        one.state.gpr[k_rbx] = one.state.gpr[k_rdi] = k_data;
        one.state.gpr[k_rcx] = 1;
        one.state.gpr[k_rsp] = code.size() == 1 && code[0] == 0x53 ? k_data + 8 : uint64_t{CpuHarness::k_stack};
        one.run(code);
        EXPECT_TRUE(one.halted_in(1)) << std::hex << unsigned{code[0]};
    }
}

TEST_F(Breakpoints, rep_movs_traps_after_the_iteration) {
    arm(0, k_data + 2, 1, 0);
    bench.state.gpr[k_rdi] = k_data;
    bench.state.gpr[k_rcx] = 5;
    bench.run({0xf3, 0xaa});
    expect_hit(0, k_code);
    EXPECT_EQ(bench.gpr(k_rcx), 2U);
    EXPECT_EQ(bench.gpr(k_rdi), k_data + 3);
}

TEST_F(Breakpoints, armed_by_mov_to_dr_after_the_page_was_in_the_tlb) {
    bench.state.gpr[k_rbx] = k_data;
    bench.state.gpr[k_rcx] = dr7_of(0, 1, 3);
    // mov [rbx], eax; mov dr0, rbx; mov dr7, rcx; mov [rbx], eax
    bench.run({0x89, 0x03, 0x0f, 0x23, 0xc3, 0x0f, 0x23, 0xf9, 0x89, 0x03, 0x90});
    expect_hit(0, k_code + 10);
}

TEST_F(Breakpoints, port_needs_cr4_de) {
    arm(0, 0x10, 2, 0);
    bench.run({0xe6, 0x10, 0x90});
    EXPECT_FALSE(bench.halted_in(1));
    SystemBench with_de(CpuMode::long64);
    with_de.state.cr4 |= k_cr4_de;
    with_de.state.dr[0] = 0x10;
    with_de.state.dr7 = dr7_of(0, 2, 0);
    with_de.run({0xe6, 0x10, 0x90});
    ASSERT_TRUE(with_de.halted_in(1));
    EXPECT_EQ(with_de.frame(0), k_code + 2);
}

TEST_F(Breakpoints, faulting_instruction_takes_no_trap) {
    arm(0, k_data, 3, 3);
    bench.state.gpr[k_rsi] = k_data;
    bench.state.gpr[k_rdi] = 0x4000'0000;  // not mapped
    bench.run({0xa5});  // movsd: reads, then cannot write
    EXPECT_TRUE(bench.halted_in(14));
    EXPECT_EQ(bench.state.dr6 & 0xf, 0U);
}

TEST(DebugControl, btf_is_taken_and_branch_records_do_not_exist) {
    SystemBench bench(CpuMode::long64);
    bench.state.gpr[k_rcx] = 0x1d9;  // IA32_DEBUGCTL
    bench.state.gpr[k_rax] = 2;
    bench.run({0x0f, 0x30});  // wrmsr
    EXPECT_EQ(bench.state.rip, k_code + 3);
    SystemBench records(CpuMode::long64);
    records.state.gpr[k_rcx] = 0x1c9;  // MSR_LASTBRANCH_TOS
    EXPECT_EQ(records.error_of(13, {0x0f, 0x32}), 0U);
}

// --- alignment -----------------------------------------------------------------------------------------------------------
class Alignment : public ::testing::Test {
  protected:
    Alignment() {
        bench.enter_user();
        bench.state.cr0 |= k_cr0_am;
        bench.state.rflags |= k_flag_ac;
        bench.state.gpr[k_rbx] = k_data + 1;
    }
    SystemBench bench{CpuMode::long64};
};

TEST_F(Alignment, user_access_is_checked) {
    EXPECT_EQ(bench.error_of(17, {0x8b, 0x03}), 0U);  // mov eax, [rbx]
    EXPECT_EQ(bench.frame(1), k_code);
}

TEST_F(Alignment, page_in_the_tlb_already_is_checked_after_popf) {
    bench.state.rflags &= ~k_flag_ac;
    // mov eax, [rbx]; pushfq; or dword [rsp], 40000h; popfq; mov eax, [rbx]
    bench.run({0x8b, 0x03, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x00, 0x04, 0x00, 0x9d, 0x8b, 0x03});
    ASSERT_TRUE(bench.halted_in(17));
    EXPECT_EQ(bench.frame(1), k_code + 11);
}

TEST_F(Alignment, aligned_and_byte_accesses_pass) {
    bench.run({0x8a, 0x03, 0x8b, 0x4b, 0x03, 0x0f, 0x0b});  // mov al, [rbx]; mov ecx, [rbx+3]; ud2
    EXPECT_TRUE(bench.halted_in(6));
}

TEST_F(Alignment, page_fault_comes_first) {
    bench.state.gpr[k_rbx] = 0x4000'0001;
    EXPECT_EQ(bench.error_of(14, {0x8b, 0x03}), 4U);
}

TEST_F(Alignment, without_am_nothing_happens) {
    bench.state.cr0 &= ~k_cr0_am;
    bench.run({0x8b, 0x03, 0x0f, 0x0b});
    EXPECT_TRUE(bench.halted_in(6));
}

TEST(AlignmentOfKernel, is_never_checked) {
    SystemBench bench(CpuMode::long64);
    bench.state.cr0 |= k_cr0_am;
    bench.state.rflags |= k_flag_ac;
    bench.state.gpr[k_rbx] = k_data + 1;
    bench.run({0x8b, 0x03});
    EXPECT_FALSE(bench.halted_in(17));
}

// --- RIP-relative operands whose distance from the block's first byte is more than 31 bits ---------------------------------
TEST(RipRelative, operand_beyond_31_bits_keeps_address_and_immediate) {
    SystemBench bench(CpuMode::long64);
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x1000 + 2 * 8, (CpuHarness::k_tables + 0x3000) | 7);
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x3000, 0x40'0000 | 0x87);  // 2 GiB shows 4 MiB
    bench.write_value<uint32_t>(0x40'0000 + k_code + 16, 0x0102'0304);
    // nop; mov dword [rip + 0x7fffffff], 0x11223344; mov ecx, [rip + 0x7fffffff]
    bench.run({0x90, 0xc7, 0x05, 0xff, 0xff, 0xff, 0x7f, 0x44, 0x33, 0x22, 0x11,
               0x8b, 0x0d, 0xff, 0xff, 0xff, 0x7f});
    EXPECT_EQ(bench.read<uint32_t>(0x40'0000 + k_code + 10), 0x1122'3344U);
    EXPECT_EQ(bench.gpr(k_rcx), 0x0102'0304U);
}

}  // namespace
}  // namespace skep::test
