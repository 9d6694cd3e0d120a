// SPDX-License-Identifier: GPL-3.0-or-later
// Near control flow, the stack, address wrap and the precision of faults.
#include <gtest/gtest.h>

#include "tests/support/cpu_harness.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_code = CpuHarness::k_code;
constexpr uint64_t k_data = CpuHarness::k_data;

TEST(Control, counted_loop_runs_to_the_end) {
    CpuHarness cpu;
    cpu.state.gpr[k_rcx] = 1000;
    EXPECT_EQ(cpu.run({0xff, 0xc0, 0x48, 0xff, 0xc9, 0x75, 0xf9}), RunExit::halted);  // inc eax; dec rcx; jnz
    EXPECT_EQ(cpu.gpr(k_rax), 1000U);
    EXPECT_GE(cpu.vcpu().instructions(), 3000U);
}

TEST(Control, call_and_return_use_the_stack) {
    CpuHarness cpu;
    // call +1; hlt; mov eax, 7; ret
    cpu.run({0xe8, 0x01, 0x00, 0x00, 0x00, 0xf4, 0xb8, 0x07, 0x00, 0x00, 0x00, 0xc3});
    EXPECT_EQ(cpu.gpr(k_rax), 7U);
    EXPECT_EQ(cpu.gpr(k_rsp), CpuHarness::k_stack);
    EXPECT_EQ(cpu.state.rip, k_code + 6);
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_stack - 8), k_code + 5);
}

TEST(Control, every_condition_follows_the_flags) {
    for (unsigned flags = 0; flags < 64; ++flags) {
        const bool cf = flags & 1, pf = flags & 2, zf = flags & 4, sf = flags & 8, of = flags & 16;
        const std::array<bool, 8> holds{of, cf, zf, cf || zf, sf, pf, sf != of, sf != of || zf};
        const uint64_t rflags = (cf ? 1U : 0U) | (pf ? 4U : 0U) | (zf ? 0x40U : 0U) | (sf ? 0x80U : 0U) | (of ? 0x800U : 0U);
        for (unsigned code = 0; code < 16; ++code) {
            CpuHarness cpu;
            cpu.state.rflags = rflags | 2;
            // jcc +1; hlt; inc eax
            cpu.run({static_cast<uint8_t>(0x70 | code), 0x01, 0xf4, 0xff, 0xc0});
            EXPECT_EQ(cpu.gpr(k_rax) == 1, holds[code / 2] != ((code & 1) != 0)) << code << " with flags " << rflags;
        }
        flags += 4;  // a spread of combinations is enough
    }
}

// A compare and the jump behind it run as one; a NOP between them keeps them apart.
TEST(Control, compare_and_jump_together_equal_them_apart) {
    const std::vector<std::vector<uint8_t>> compares{
        {0x38, 0xd0},              // cmp al, dl
        {0x38, 0xd4},              // cmp ah, dl
        {0x66, 0x39, 0xd0},        // cmp ax, dx
        {0x39, 0xd0},              // cmp eax, edx
        {0x48, 0x3b, 0xc2},        // cmp rax, rdx
        {0x3c, 0x81},              // cmp al, 0x81
        {0x48, 0x83, 0xf8, 0xff},  // cmp rax, -1
        {0x84, 0xc2},              // test dl, al
        {0x66, 0x85, 0xd0},        // test ax, dx
        {0x48, 0x85, 0xd0},        // test rax, rdx
        {0xf6, 0xc4, 0x80},        // test ah, 0x80
        {0x48, 0xa9, 0x00, 0x00, 0x00, 0x80},  // test rax, -0x80000000
    };
    const std::vector<std::pair<uint64_t, uint64_t>> values{
        {0, 0}, {0x8000'0000'8000'8080, 1}, {0x7fff'ffff'7fff'7f7f, ~uint64_t{0}}, {0x1234'5678'0000'0181, 0xff}};
    std::array<CpuHarness, 2> cpus;
    const CpuState fresh = cpus[0].state;
    uint64_t rounds = 0;
    for (size_t form = 0; form < compares.size(); ++form) {
        for (unsigned code = 0; code < 16; ++code) {
            for (const auto& [a, d] : values) {
                ++rounds;
                for (const bool apart : {false, true}) {
                    std::vector<uint8_t> bytes = compares[form];
                    if (apart) {
                        bytes.push_back(0x90);
                    }
                    // jcc +1; hlt; lea ecx, [rcx+1]
                    bytes.insert(bytes.end(), {static_cast<uint8_t>(0x70 | code), 0x01, 0xf4, 0x8d, 0x49, 0x01});
                    cpus[apart].state = fresh;
                    cpus[apart].state.gpr[k_rax] = a;
                    cpus[apart].state.gpr[k_rdx] = d;
                    cpus[apart].state.gpr[k_rcx] = 0;
                    ASSERT_EQ(cpus[apart].run(bytes), RunExit::halted);
                }
                EXPECT_EQ(cpus[0].gpr(k_rcx), cpus[1].gpr(k_rcx)) << "form " << form << " condition " << code;
                EXPECT_EQ(cpus[0].state.rflags, cpus[1].state.rflags) << "form " << form << " condition " << code;
            }
        }
    }
    EXPECT_EQ(cpus[0].vcpu().instructions() + rounds, cpus[1].vcpu().instructions());
}

TEST(Control, indirect_jump_to_non_canonical_faults_at_the_jump) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = uint64_t{1} << 50;
    EXPECT_EQ(cpu.run({0x90, 0xff, 0xe0}), RunExit::shutdown);  // nop; jmp rax
    EXPECT_EQ(cpu.state.rip, k_code + 1);
}

TEST(Control, direct_branch_to_non_canonical_faults_at_the_branch) {
    constexpr uint64_t k_low = CpuHarness::k_last_low + 0x1f'ff00, k_high = CpuHarness::k_first_high;
    struct Row {
        const char* what;
        uint64_t at;
        std::vector<uint8_t> code;
        uint64_t rip;  // of the fault
    };
    const Row rows[] = {
        {"jmp rel32", k_low, {0x90, 0xe9, 0, 1, 0, 0}, k_low + 1},
        {"jmp rel32 down", k_high, {0x90, 0xe9, 0, 0xff, 0xff, 0xff}, k_high + 1},
        {"jmp rel8 down", k_high, {0x90, 0xeb, 0x80}, k_high + 1},
        {"call", k_low, {0x90, 0xe8, 0, 1, 0, 0}, k_low + 1},
        {"jz, taken", k_low, {0x31, 0xc0, 0x0f, 0x84, 0, 1, 0, 0}, k_low + 2},
    };
    for (const Row& row : rows) {
        CpuHarness cpu;
        cpu.map_canonical_edge();
        const uint64_t physical = row.at == k_low ? 0x1f'ff00 : 0;
        cpu.write(physical, row.code);
        cpu.state.rip = row.at;
        cpu.state.gpr[k_rsp] = CpuHarness::k_stack;
        cpu.vcpu().load(cpu.state);
        EXPECT_EQ(cpu.resume(), RunExit::shutdown) << row.what;
        EXPECT_EQ(cpu.state.rip, row.rip) << row.what;
        EXPECT_EQ(cpu.gpr(k_rsp), CpuHarness::k_stack) << row.what;
        EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_stack - 8), 0U) << row.what;
    }
}

TEST(Control, running_over_the_canonical_edge_faults_behind_it) {
    CpuHarness cpu;
    cpu.map_canonical_edge();
    cpu.write(0x1f'fffe, {0x90, 0x90});
    cpu.state.rip = CpuHarness::k_last_low + 0x1f'fffe;
    cpu.vcpu().load(cpu.state);
    EXPECT_EQ(cpu.resume(), RunExit::shutdown);
    EXPECT_EQ(cpu.state.rip, uint64_t{1} << 47);
}

TEST(Control, real_mode_jump_wraps_at_64_kib) {
    CpuHarness cpu(CpuMode::real16);
    cpu.write(0x0010, {0x40, 0xf4});  // inc ax; hlt
    cpu.state.rip = 0xfff0;
    cpu.run({0xeb, 0x1e});  // jmp 0xfff0 + 2 + 0x1e = 0x10010
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
    EXPECT_EQ(cpu.state.rip, 0x12U);
}

TEST(Control, loop_counts_in_the_address_size) {
    CpuHarness cpu(CpuMode::real16);
    cpu.state.gpr[k_rcx] = 0xabcd'0003;
    cpu.run({0x40, 0xe2, 0xfd});  // inc ax; loop
    EXPECT_EQ(cpu.gpr(k_rax), 3U);
    EXPECT_EQ(cpu.gpr(k_rcx), 0xabcd'0000U);
}

TEST(Control, push_and_pop_by_operand_size) {
    CpuHarness cpu(CpuMode::protected32);
    cpu.state.gpr[k_rax] = 0x1234'5678;
    cpu.run({0x66, 0x50, 0x50, 0x6a, 0xff, 0x59, 0x5a});  // push ax; push eax; push -1; pop ecx; pop edx
    EXPECT_EQ(cpu.gpr(k_rcx), 0xffff'ffffU);
    EXPECT_EQ(cpu.gpr(k_rdx), 0x1234'5678U);
    EXPECT_EQ(cpu.gpr(k_rsp), CpuHarness::k_stack - 2);
}

TEST(Control, pop_to_memory_addresses_with_the_new_stack_pointer) {
    CpuHarness cpu;
    cpu.state.gpr[k_rax] = 99;
    cpu.run({0x50, 0x50, 0x8f, 0x44, 0x24, 0x08});  // push rax; push rax; pop [rsp+8]
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_stack), 99U);
}

TEST(Control, pusha_and_popa_skip_the_stack_pointer) {
    CpuHarness cpu(CpuMode::protected32);
    for (unsigned i = 0; i < 8; ++i) {
        cpu.state.gpr[i] = i == k_rsp ? CpuHarness::k_stack : i + 1;
    }
    cpu.run({0x60, 0x31, 0xc0, 0x31, 0xff, 0x61});  // pusha; xor eax,eax; xor edi,edi; popa
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
    EXPECT_EQ(cpu.gpr(k_rdi), 8U);
    EXPECT_EQ(cpu.gpr(k_rsp), CpuHarness::k_stack);
}

TEST(Control, enter_and_leave_make_a_frame) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbp] = 0x5555;
    cpu.run({0xc8, 0x20, 0x00, 0x00, 0x48, 0x89, 0xe0, 0xc9});  // enter 32, 0; mov rax, rsp; leave
    EXPECT_EQ(cpu.gpr(k_rax), CpuHarness::k_stack - 8 - 32);
    EXPECT_EQ(cpu.gpr(k_rbp), 0x5555U);
    EXPECT_EQ(cpu.gpr(k_rsp), CpuHarness::k_stack);
}

TEST(Faults, page_fault_is_precise_and_sets_cr2) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = 0x4000'0000;  // behind the mapped GiB
    cpu.state.gpr[k_rax] = 5;
    // add eax, 1; add [rbx+8], eax; add eax, 1
    EXPECT_EQ(cpu.run({0x83, 0xc0, 0x01, 0x01, 0x43, 0x08, 0x83, 0xc0, 0x01}), RunExit::shutdown);
    EXPECT_EQ(cpu.gpr(k_rax), 6U);
}

TEST(Faults, push_that_faults_leaves_the_stack_pointer) {
    CpuHarness cpu;
    cpu.state.gpr[k_rsp] = 0x4000'0100;
    EXPECT_EQ(cpu.run({0x50}), RunExit::shutdown);
    EXPECT_EQ(cpu.gpr(k_rsp), 0x4000'0100U);
}

TEST(Faults, segment_limit_is_checked_in_real_mode) {
    CpuHarness cpu(CpuMode::real16);
    cpu.state.gpr[k_rbx] = 0xffff;
    cpu.state.idtr.limit = 0;
    EXPECT_EQ(cpu.run({0x8b, 0x07}), RunExit::shutdown);  // mov ax, [bx]: the second byte is beyond
    EXPECT_EQ(cpu.gpr(k_rax), 0U);
}

TEST(Faults, address_size_wraps_inside_the_segment) {
    CpuHarness cpu(CpuMode::real16);
    cpu.write_value<uint16_t>(0x0004, 0xbeef);
    cpu.state.gpr[k_rbx] = 0xfffe;
    cpu.state.gpr[k_rsi] = 0x0006;
    cpu.run({0x8b, 0x00});  // mov ax, [bx+si]
    EXPECT_EQ(cpu.gpr(k_rax), 0xbeefU);
}

TEST(Faults, lock_on_a_register_form_is_undefined) {
    CpuHarness cpu;
    EXPECT_EQ(cpu.run({0xf0, 0x01, 0xc8}), RunExit::shutdown);  // lock add eax, ecx
    EXPECT_EQ(cpu.gpr(k_rax), 0U);
}

TEST(Memory, access_across_two_pages) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = k_data + 0xffd;
    cpu.state.gpr[k_rax] = 0x1122'3344'5566'7788;
    cpu.run({0x48, 0x89, 0x03, 0x48, 0x8b, 0x0b, 0xf0, 0x48, 0xff, 0x03});  // mov [rbx],rax; mov rcx,[rbx]; lock inc [rbx]
    EXPECT_EQ(cpu.gpr(k_rcx), 0x1122'3344'5566'7788U);
    EXPECT_EQ(cpu.read<uint64_t>(k_data + 0xffd), 0x1122'3344'5566'7789U);
}

TEST(Memory, mmio_goes_to_the_machine_in_one_access) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = 0x3000'0000;  // mapped, but no RAM there
    cpu.io.mmio[0x3000'0004] = 0x99;
    cpu.run({0x8b, 0x43, 0x04, 0x89, 0x43, 0x08});  // mov eax, [rbx+4]; mov [rbx+8], eax
    EXPECT_EQ(cpu.gpr(k_rax), 0x99U);
    ASSERT_EQ(cpu.io.mmio_accesses.size(), 2U);
    EXPECT_EQ(cpu.io.mmio_accesses[1].address, 0x3000'0008U);
    EXPECT_EQ(cpu.io.mmio_accesses[1].size, 4U);
    EXPECT_EQ(cpu.io.mmio_accesses[1].value, 0x99U);
}

TEST(Run, kick_before_run_leaves_at_once) {
    CpuHarness cpu;
    cpu.vcpu().kick(KickReason::leave);
    EXPECT_EQ(cpu.run({0xeb, 0xfe}), RunExit::kicked);  // jmp $
    EXPECT_EQ(cpu.state.rip, k_code);
}

TEST(Run, kick_from_a_port_write_stops_after_the_instruction) {
    CpuHarness cpu;
    cpu.io.on_port_write = [&](uint16_t, uint32_t) { cpu.vcpu().kick(KickReason::leave); };
    EXPECT_EQ(cpu.run({0xe6, 0x80, 0xff, 0xc0}), RunExit::kicked);  // out 0x80, al; inc eax
    EXPECT_EQ(cpu.state.rip, k_code + 2);
    EXPECT_EQ(cpu.resume(), RunExit::halted);
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
}

}  // namespace
}  // namespace skep::test
