// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/interp/system_bench.hpp"
#include "vmm/interp/exceptions.hpp"

namespace skep::test {
namespace {

using namespace x86;

// --- 64-bit delivery -----------------------------------------------------------------------------------------------------
TEST(LongDelivery, undefined_opcode_pushes_five_words_with_rf_and_aligned_stack) {
    SystemBench bench(CpuMode::long64);
    bench.state.gpr[k_rsp] = 0x8003;
    bench.run({0x0f, 0x0b});
    ASSERT_TRUE(bench.halted_in(6));
    EXPECT_EQ(bench.gpr(k_rsp), 0x8000U - 40);
    EXPECT_EQ(bench.frame(0), SystemBench::k_code);
    EXPECT_EQ(bench.frame(1), k_kernel_code64);
    EXPECT_TRUE(bench.frame(2) & k_flag_rf);
    EXPECT_EQ(bench.frame(3), 0x8003U);
    EXPECT_EQ(bench.frame(4), k_kernel_data);
    EXPECT_FALSE(bench.state.rflags & k_flag_rf);
}

TEST(LongDelivery, from_user_switches_to_rsp0_and_null_ss) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    bench.state.rflags |= k_flag_if;
    bench.run({0x0f, 0x0b});
    ASSERT_TRUE(bench.halted_in(6));
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_kernel_stack - 40);
    EXPECT_EQ(bench.frame(1), k_user_code64);
    EXPECT_EQ(bench.frame(3), SystemBench::k_user_stack);
    EXPECT_EQ(bench.frame(4), k_user_data);
    EXPECT_EQ(bench.state.segment[k_ss].selector, 0);
    EXPECT_TRUE(bench.state.segment[k_ss].unusable());
    EXPECT_FALSE(bench.state.rflags & k_flag_if) << "interrupt gate";
}

TEST(LongDelivery, trap_gate_keeps_if) {
    SystemBench bench(CpuMode::long64);
    bench.set_gate(6, 0xf, 0);
    bench.state.rflags |= k_flag_if;
    bench.run({0x0f, 0x0b});
    EXPECT_TRUE(bench.state.rflags & k_flag_if);
}

TEST(LongDelivery, ist_replaces_the_stack_without_privilege_change) {
    SystemBench bench(CpuMode::long64);
    bench.set_gate(6, 0xe, 0, 1);
    bench.run({0x0f, 0x0b});
    ASSERT_TRUE(bench.halted_in(6));
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_ist_stack - 40);
    EXPECT_EQ(bench.state.segment[k_ss].selector, k_kernel_data);
}

TEST(LongDelivery, int_n_below_gate_dpl_is_gp_naming_the_gate) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    EXPECT_EQ(bench.error_of(13, {0xcd, 0x80}), 0x80U * 8 + 2);
    EXPECT_EQ(bench.frame(1), SystemBench::k_code) << "a fault: RIP of the INT";
}

TEST(LongDelivery, int_n_with_gate_dpl_3_returns_behind_it) {
    SystemBench bench(CpuMode::long64);
    bench.set_gate(0x80, 0xe, 3);
    bench.enter_user();
    bench.run({0xcd, 0x80});
    ASSERT_TRUE(bench.halted_in(0x80));
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 2);
    EXPECT_FALSE(bench.frame(2) & k_flag_rf);
}

TEST(LongDelivery, gate_not_present_is_np_with_ext_for_faults_only) {
    SystemBench bench(CpuMode::long64);
    bench.write_value<uint8_t>(SystemBench::k_idt + 6 * 16 + 5, 0x0e);
    EXPECT_EQ(bench.error_of(11, {0x0f, 0x0b}), 6U * 8 + 2 + 1);
    SystemBench software(CpuMode::long64);
    software.write_value<uint8_t>(SystemBench::k_idt + 0x55 * 16 + 5, 0x0e);
    EXPECT_EQ(software.error_of(11, {0xcd, 0x55}), 0x55U * 8 + 2);
}

TEST(LongDelivery, handler_in_32_bit_code_is_gp_with_its_selector) {
    SystemBench bench(CpuMode::long64);
    bench.set_gate(6, 0xe, 0, 0, k_kernel_code32);
    EXPECT_EQ(bench.error_of(13, {0x0f, 0x0b}), k_kernel_code32 | 1U);
}

TEST(LongDelivery, contributory_upon_contributory_is_double_fault) {
    SystemBench bench(CpuMode::long64);
    bench.write_value<uint8_t>(SystemBench::k_idt + 13 * 16 + 5, 0x0e);  // #GP's gate is not present: #NP
    bench.state.gpr[k_rax] = 0x0fff;
    EXPECT_EQ(bench.error_of(8, {0x8e, 0xd8}), 0U);  // mov ds, ax
    EXPECT_EQ(bench.frame(1), SystemBench::k_code);
}

TEST(LongDelivery, triple_fault_shuts_down) {
    SystemBench bench(CpuMode::long64);
    bench.state.idtr.limit = 0;
    EXPECT_EQ(bench.run({0x0f, 0x0b}), RunExit::shutdown);
    EXPECT_EQ(bench.state.activity, Activity::shutdown);
}

TEST(LongDelivery, non_canonical_access_is_gp_and_through_stack_is_ss) {
    SystemBench bench(CpuMode::long64);
    bench.state.gpr[k_rax] = 0x0000'8000'0000'0000;
    EXPECT_EQ(bench.error_of(13, {0x48, 0x8b, 0x00}), 0U);  // mov rax, [rax]
    SystemBench stack(CpuMode::long64);
    stack.state.gpr[k_rbp] = 0x0000'8000'0000'0000;
    EXPECT_EQ(stack.error_of(12, {0x48, 0x8b, 0x45, 0x00}), 0U);  // mov rax, [rbp]
}

// --- events between instructions -----------------------------------------------------------------------------------------
TEST(Events, sti_shadow_lets_one_more_instruction_run) {
    SystemBench bench(CpuMode::long64);
    bench.io.vectors = {0x40};
    bench.run({0xfb, 0xff, 0xc0, 0xff, 0xc0});  // sti; inc eax; inc eax
    ASSERT_TRUE(bench.halted_in(0x40));
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 3);
    EXPECT_FALSE(bench.frame(2) & k_flag_rf);
}

TEST(Events, mov_ss_holds_interrupt_and_nmi_back_for_one_instruction) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_if;
    bench.state.gpr[k_rcx] = k_kernel_data;
    bench.io.on_port_write = [&](uint16_t, uint32_t) { bench.vcpu().inject_nmi(); };
    bench.run({0x8e, 0xd1, 0xe6, 0x10, 0xff, 0xc0});  // mov ss, ecx; out 0x10, al; inc eax
    ASSERT_TRUE(bench.halted_in(2));
    EXPECT_TRUE(bench.state.nmi_blocked);
}

TEST(Events, single_step_traps_after_the_instruction_with_bs) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_tf;
    bench.run({0xff, 0xc0, 0xff, 0xc0});
    ASSERT_TRUE(bench.halted_in(1));
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 2);
    EXPECT_TRUE(bench.frame(2) & k_flag_tf);
    EXPECT_FALSE(bench.state.rflags & k_flag_tf);
    EXPECT_TRUE(bench.state.dr6 & k_dr6_bs);
}

TEST(Events, int_n_under_single_step_takes_no_trap) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_tf;
    bench.run({0xcd, 0x55});
    EXPECT_TRUE(bench.halted_in(0x55));
    EXPECT_TRUE(bench.frame(2) & k_flag_tf);
}

TEST(Events, interrupt_wakes_halt_and_returns_behind_it) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_if;
    EXPECT_EQ(bench.run({0xf4}), RunExit::halted);
    bench.io.vectors = {0x41};
    bench.vcpu().kick(KickReason::interrupt);
    bench.resume();
    ASSERT_TRUE(bench.halted_in(0x41));
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 1);
}

TEST(Events, queued_interrupt_of_a_loaded_state_comes_first_and_once) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_if;
    bench.state.queued_interrupt = 0x41;
    bench.io.vectors = {0x51};
    bench.run({0x90});
    ASSERT_TRUE(bench.halted_in(0x41));
    EXPECT_EQ(bench.frame(0), SystemBench::k_code);
    EXPECT_FALSE(bench.state.queued_interrupt);
    EXPECT_EQ(bench.io.vectors.size(), 1U);
}

TEST(Events, nmi_stays_pending_until_iret) {
    SystemBench bench(CpuMode::long64);
    bench.state.nmi_blocked = true;
    bench.io.on_port_write = [&](uint16_t, uint32_t) { bench.vcpu().inject_nmi(); };
    const std::vector<uint64_t> frame = {SystemBench::k_code + 4, k_kernel_code64, 2, 0x7000, k_kernel_data};
    bench.write_words(CpuHarness::k_stack, frame);
    bench.run({0xe6, 0x10, 0x48, 0xcf});  // out 0x10, al; iretq
    ASSERT_TRUE(bench.halted_in(2));
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 4);
    EXPECT_EQ(bench.frame(3), 0x7000U);
}

// --- 32-bit protected mode ------------------------------------------------------------------------------------------------
TEST(ProtectedDelivery, same_privilege_pushes_three_words_and_error_code) {
    SystemBench bench(CpuMode::protected32);
    bench.state.gpr[k_rax] = 0x0fff;  // outside the GDT
    EXPECT_EQ(bench.error_of(13, {0x8e, 0xd8}), 0xffcU);  // mov ds, ax
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_stack - 16);
    EXPECT_EQ(bench.frame(1), SystemBench::k_code);
    EXPECT_EQ(bench.frame(2), k_kernel_code32);
}

TEST(ProtectedDelivery, from_user_takes_ss0_esp0_and_pushes_five_words) {
    SystemBench bench(CpuMode::protected32);
    bench.enter_user();
    bench.run({0x0f, 0x0b});
    ASSERT_TRUE(bench.halted_in(6));
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_kernel_stack - 20);
    EXPECT_EQ(bench.state.segment[k_ss].selector, k_kernel_data);
    EXPECT_EQ(bench.frame(3), SystemBench::k_user_stack);
    EXPECT_EQ(bench.frame(4), k_user_data);
}

TEST(ProtectedDelivery, bad_inner_stack_is_ts_with_its_selector) {
    SystemBench bench(CpuMode::protected32);
    bench.enter_user();
    bench.write_value<uint32_t>(SystemBench::k_tss_base + 8, k_user_data);
    // #TS cannot find a stack either: #DF, then shutdown.
    EXPECT_EQ(bench.run({0x0f, 0x0b}), RunExit::shutdown);
}

TEST(ProtectedDelivery, gate_of_16_bits_pushes_words) {
    SystemBench bench(CpuMode::protected32);
    bench.set_gate(6, 6, 0);
    bench.write_value<uint16_t>(SystemBench::k_idt + 6 * 8, 0x3000);
    bench.write_value<uint8_t>(0x3000, 0xf4);
    bench.run({0x0f, 0x0b});
    EXPECT_EQ(bench.state.rip, 0x3001U);
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_stack - 6);
    EXPECT_EQ(bench.read<uint16_t>(SystemBench::k_stack - 6), SystemBench::k_code);
}

TEST(ProtectedDelivery, segment_not_present_is_np_and_ss_not_present_is_ss) {
    SystemBench bench(CpuMode::protected32);
    bench.state.gpr[k_rax] = k_not_present_data;
    EXPECT_EQ(bench.error_of(11, {0x8e, 0xd8}), k_not_present_data);
    SystemBench stack(CpuMode::protected32);
    stack.state.gpr[k_rax] = k_not_present_data;
    EXPECT_EQ(stack.error_of(12, {0x8e, 0xd0}), k_not_present_data);
}

TEST(ProtectedDelivery, segment_loads_check_type_and_privilege) {
    struct Case {
        uint16_t selector;
        uint8_t modrm;  // of 8e: which register
        uint32_t error;
    };
    for (const Case& one : {Case{0, 0xd0, 0}, Case{k_kernel_code32, 0xd0, k_kernel_code32},
                            Case{k_kernel_data | 3, 0xd8, k_kernel_data}, Case{k_tss, 0xd8, k_tss},
                            Case{k_user_data, 0xd0, k_user_data & ~3U}}) {
        SystemBench bench(CpuMode::protected32);
        bench.state.gpr[k_rax] = one.selector;
        EXPECT_EQ(bench.error_of(13, {0x8e, one.modrm}), one.error) << one.selector;
    }
}

TEST(RealDelivery, int_uses_the_vector_table_and_iret_comes_back) {
    CpuHarness harness(CpuMode::real16);
    harness.write_value<uint32_t>(0x21 * 4, 0x0300'0100);  // 0300:0100
    harness.write(0x3100, {0x43, 0xcf});                   // inc bx; iret
    harness.state.rflags |= k_flag_if | k_flag_cf;
    harness.run({0xcd, 0x21, 0x41});  // int 21h; inc cx
    EXPECT_EQ(harness.gpr(k_rbx), 1U);
    EXPECT_EQ(harness.gpr(k_rcx), 1U);
    EXPECT_EQ(harness.gpr(k_rsp), CpuHarness::k_stack);
    EXPECT_TRUE(harness.state.rflags & k_flag_if);
}

TEST(RealDelivery, vector_beyond_the_table_limit_is_gp) {
    CpuHarness harness(CpuMode::real16);
    harness.state.idtr.limit = 0x3f;
    harness.write_value<uint32_t>(13 * 4, 0x0000'3000);
    harness.write(0x3000, {0xf4});
    harness.run({0xcd, 0x21});
    EXPECT_EQ(harness.state.rip, 0x3001U);
    EXPECT_EQ(harness.read<uint16_t>(CpuHarness::k_stack - 6), CpuHarness::k_code) << "no error code in real mode";
}

}  // namespace
}  // namespace skep::test
