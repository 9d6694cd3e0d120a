// SPDX-License-Identifier: GPL-3.0-or-later
// Mode switches, rings, gates, tasks, V86, fast system calls.
#include "tests/vmm/interp/system_bench.hpp"

namespace skep::test {
namespace {

using namespace x86;

void set_far_pointer(SystemBench& bench, uint64_t where, uint32_t offset, uint16_t selector) {
    bench.write_value<uint32_t>(where, offset);
    bench.write_value<uint16_t>(where + 4, selector);
}

TEST(ModeSwitch, real_to_protected_to_long_and_into_64_bit_code) {
    CpuHarness harness(CpuMode::real16);
    harness.write_value<uint64_t>(0x2008, 0x00cf'9b00'0000'ffff);
    harness.write_value<uint64_t>(0x2010, 0x00cf'9300'0000'ffff);
    harness.write_value<uint64_t>(0x2018, 0x00af'9b00'0000'ffff);
    harness.write_value<uint16_t>(0x2100, 0x1f);
    harness.write_value<uint32_t>(0x2102, 0x2000);
    // lgdt [0x2100]; mov eax, cr0; or al, 1; mov cr0, eax; jmp 8:0x1100
    harness.write(0x1100, {0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0,           // mov ax, 0x10; mov ds, ax; mov ss, ax
                           0x0f, 0x20, 0xe0, 0x0c, 0x20, 0x0f, 0x22, 0xe0,           // cr4 |= PAE
                           0xb8, 0x00, 0x00, 0x70, 0x00, 0x0f, 0x22, 0xd8,           // cr3 = 0x700000
                           0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0f, 0xba, 0xe8, 0x08, 0x0f, 0x30,  // EFER.LME
                           0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xe8, 0x1f, 0x0f, 0x22, 0xc0,                    // CR0.PG
                           0xea, 0x00, 0x12, 0x00, 0x00, 0x18, 0x00});               // jmp 0x18:0x1200
    harness.write(0x1200, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xf4});               // movabs rax; hlt
    harness.run({0x0f, 0x01, 0x16, 0x00, 0x21, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
                 0xea, 0x00, 0x11, 0x08, 0x00});
    EXPECT_EQ(harness.gpr(k_rax), 0x0807'0605'0403'0201U);
    EXPECT_TRUE(harness.state.msr.efer & k_efer_lma);
    EXPECT_TRUE(harness.state.segment[k_cs].long_mode());
}

TEST(ModeSwitch, unreal_mode_keeps_the_big_limit) {
    CpuHarness harness(CpuMode::real16);
    harness.state.segment[k_ds].limit = 0xffff'ffff;
    harness.write_value<uint32_t>(0x20'0010, 0xdecafbad);
    harness.state.gpr[k_rbx] = 0x20'0000;
    harness.state.gpr[k_rcx] = 1;
    harness.run({0x8e, 0xd9, 0x67, 0x66, 0x8b, 0x03});  // mov ds, cx; mov eax, [ebx]
    EXPECT_EQ(harness.state.segment[k_ds].limit, 0xffff'ffffU);
    EXPECT_EQ(harness.gpr(k_rax), 0xdecafbadU);
}

TEST(ControlRegisters, bad_combinations_are_gp) {
    struct Case {
        uint64_t value;
        uint8_t modrm;  // of 0f 22: mov crN, rax
    };
    for (const Case& one : {Case{0x8000'0010, 0xc0},          // PG without PE
                            Case{0xa000'0011, 0xc0},          // NW without CD
                            Case{0x11, 0xc0},                 // PG cleared in 64-bit code
                            Case{uint64_t{1} << 32, 0xc0},
                            Case{uint64_t{1} << 40, 0xd8},    // CR3 beyond MAXPHYADDR
                            Case{0x600, 0xe0},                // PAE cleared in long mode
                            Case{0x620 | 1 << 12, 0xe0},      // LA57
                            Case{0x620 | 1, 0xe0}}) {         // VME
        SystemBench bench(CpuMode::long64);
        bench.state.gpr[k_rax] = one.value;
        EXPECT_EQ(bench.error_of(13, {0x0f, 0x22, one.modrm}), 0U) << std::hex << one.value;
    }
}

TEST(ControlRegisters, user_may_not_touch_them) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    EXPECT_EQ(bench.error_of(13, {0x0f, 0x20, 0xc0}), 0U);
}

TEST(ControlRegisters, dr4_with_de_is_ud_and_gd_traps_before_access) {
    SystemBench bench(CpuMode::long64);
    bench.state.cr4 |= k_cr4_de;
    bench.run({0x0f, 0x21, 0xe0});
    EXPECT_TRUE(bench.halted_in(6));
    SystemBench guarded(CpuMode::long64);
    guarded.state.dr7 |= k_dr7_gd;
    guarded.run({0x0f, 0x21, 0xf0});
    ASSERT_TRUE(guarded.halted_in(1));
    EXPECT_EQ(guarded.frame(0), SystemBench::k_code);
    EXPECT_TRUE(guarded.state.dr6 & k_dr6_bd);
    EXPECT_FALSE(guarded.state.dr7 & k_dr7_gd);
}

TEST(Syscall, enters_kernel_masks_flags_and_sysret_goes_back) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    bench.state.rflags |= k_flag_if | k_flag_df;
    bench.state.msr.star = uint64_t{k_kernel_code64} << 32 | uint64_t{0x20 | 3} << 48;
    bench.state.msr.lstar = 0x3000;
    bench.state.msr.sfmask = k_flag_if | k_flag_df;
    bench.write(0x3000, {0x9c, 0x58, 0x48, 0x89, 0xe3, 0x48, 0x0f, 0x07});  // pushfq; pop rax; mov rbx, rsp; sysretq
    bench.run({0x0f, 0x05});
    ASSERT_TRUE(bench.halted_in(13)) << "HLT in user code";
    EXPECT_EQ(bench.gpr(k_rax) & (k_flag_if | k_flag_df), 0U);
    EXPECT_EQ(bench.gpr(k_rcx), SystemBench::k_code + 2);
    EXPECT_EQ(bench.gpr(k_rbx), SystemBench::k_user_stack) << "RSP is the user's";
    EXPECT_EQ(bench.frame(2), 0x20U + 16 + 3);
    EXPECT_TRUE(bench.frame(3) & k_flag_df);
}

TEST(Syscall, tf_cleared_by_fmask_leaves_kernel_unstepped_and_traps_behind_sysret) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    bench.state.rflags |= k_flag_tf;
    bench.state.msr.star = uint64_t{k_kernel_code64} << 32 | uint64_t{0x20 | 3} << 48;
    bench.state.msr.lstar = 0x3000;
    bench.state.msr.sfmask = k_flag_tf;
    bench.write(0x3000, {0xff, 0xc3, 0x48, 0x0f, 0x07});  // inc ebx; sysretq
    bench.run({0x0f, 0x05, 0xff, 0xc0});
    ASSERT_TRUE(bench.halted_in(1));
    EXPECT_EQ(bench.gpr(k_rbx), 1U);
    EXPECT_EQ(bench.gpr(k_rax), 0U);
    EXPECT_EQ(bench.frame(0), SystemBench::k_code + 2);
}

TEST(Syscall, without_sce_is_ud) {
    SystemBench bench(CpuMode::long64);
    bench.state.msr.efer &= ~k_efer_sce;
    bench.run({0x0f, 0x05});
    EXPECT_TRUE(bench.halted_in(6));
}

TEST(Syscall, sysret_to_non_canonical_is_gp_in_kernel) {
    SystemBench bench(CpuMode::long64);
    bench.state.gpr[k_rcx] = 0x0000'8000'0000'0000;
    EXPECT_EQ(bench.error_of(13, {0x48, 0x0f, 0x07}), 0U);
    EXPECT_EQ(bench.frame(2), k_kernel_code64);
}

TEST(Sysenter, loads_flat_segments_and_sysexit_returns_to_ring_3) {
    SystemBench bench(CpuMode::protected32);
    bench.enter_user();
    bench.state.msr.sysenter_cs = k_kernel_code32;
    bench.state.msr.sysenter_esp = 0x7000;
    bench.state.msr.sysenter_eip = 0x3000;
    bench.state.gpr[k_rdx] = 0x1100;
    bench.state.gpr[k_rcx] = 0x6000;
    bench.write(0x3000, {0x89, 0xe0, 0x0f, 0x35});  // mov eax, esp; sysexit
    bench.write(0x1100, {0x89, 0xe3, 0xf4});        // mov ebx, esp; hlt -> #GP
    bench.run({0x0f, 0x34});
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_EQ(bench.gpr(k_rax), 0x7000U);
    EXPECT_EQ(bench.gpr(k_rbx), 0x6000U);
    EXPECT_EQ(bench.frame(2), 0x1bU);
}

TEST(CallGate, to_inner_ring_copies_parameters_and_retf_comes_back) {
    SystemBench bench(CpuMode::protected32);
    bench.set_descriptor(k_call_gate, 0x0000'ec02'0000'3000 | uint64_t{k_kernel_code32} << 16);  // DPL 3, 2 parameters
    bench.write(0x3000, {0x8b, 0x44, 0x24, 0x08, 0x8b, 0x5c, 0x24, 0x0c, 0xca, 0x08, 0x00});
    bench.enter_user();
    bench.run({0x6a, 0x11, 0x6a, 0x22, 0x9a, 0, 0, 0, 0, 0x73, 0x00});  // push 0x11; push 0x22; call 0x73:0
    ASSERT_TRUE(bench.halted_in(13)) << "back in ring 3, HLT";
    EXPECT_EQ(bench.gpr(k_rax), 0x22U);
    EXPECT_EQ(bench.gpr(k_rbx), 0x11U);
    EXPECT_EQ(bench.frame(4), SystemBench::k_user_stack) << "both sides released their parameters";
}

TEST(CallGate, below_its_dpl_is_gp_with_the_gate) {
    SystemBench bench(CpuMode::protected32);
    bench.set_descriptor(k_call_gate, 0x0000'8c00'0000'3000 | uint64_t{k_kernel_code32} << 16);
    bench.enter_user();
    EXPECT_EQ(bench.error_of(13, {0x9a, 0, 0, 0, 0, 0x73, 0x00}), k_call_gate);
}

TEST(FarReturn, to_outer_ring_drops_inner_segments) {
    SystemBench bench(CpuMode::protected32);
    const std::vector<uint32_t> frame = {0x1100, k_user_code32, 0x6000, k_user_data};
    bench.write_words(CpuHarness::k_stack, frame);
    bench.write(0x1100, {0x8c, 0xd8, 0xf4});  // mov eax, ds; hlt
    bench.run({0xcb});
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_EQ(bench.gpr(k_rax), 0U) << "DS held a ring 0 segment";
    EXPECT_EQ(bench.frame(4), 0x6000U);
}

TEST(FarJump, checks_selectors) {
    struct Case {
        uint16_t selector;
        unsigned vector;
        uint32_t error;
    };
    for (const Case& one : {Case{0, 13, 0}, Case{k_kernel_data, 13, k_kernel_data}, Case{k_user_code32, 13, 0x18},
                            Case{0x1000, 13, 0x1000}, Case{k_tss, 13, k_tss}}) {
        SystemBench bench(CpuMode::protected32);
        const auto low = static_cast<uint8_t>(one.selector);
        const auto high = static_cast<uint8_t>(one.selector >> 8);
        EXPECT_EQ(bench.error_of(one.vector, {0xea, 0, 0, 0, 0, low, high}), one.error) << one.selector;
    }
}

TEST(Iret, long_mode_returns_to_compatibility_mode) {
    SystemBench bench(CpuMode::long64);
    const std::vector<uint64_t> frame = {0x1100, k_user_code32, 0x202, 0x6000, k_user_data};
    bench.write_words(CpuHarness::k_stack, frame);
    bench.write(0x1100, {0x40, 0xf4});  // inc eax (a REX prefix in 64-bit code); hlt
    bench.run({0x48, 0xcf});
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_EQ(bench.gpr(k_rax), 1U);
    EXPECT_EQ(bench.frame(2), k_user_code32);
}

TEST(Iret, nested_task_flag_in_long_mode_is_gp) {
    SystemBench bench(CpuMode::long64);
    bench.state.rflags |= k_flag_nt;
    EXPECT_EQ(bench.error_of(13, {0x48, 0xcf}), 0U);
}

TEST(Iret, user_cannot_change_iopl_or_if) {
    SystemBench bench(CpuMode::protected32);
    bench.enter_user();
    const std::vector<uint32_t> frame = {0x1100, k_user_code32, 0x3202 | 0x8d5};
    bench.write_words(SystemBench::k_user_stack, frame);
    bench.write(0x1100, {0xf4});
    bench.run({0xcf});
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_EQ(bench.frame(3) & (k_flag_iopl | k_flag_if), 0U);
    EXPECT_EQ(bench.frame(3) & 0x8d5, 0x8d5U);
}

// --- V86 -----------------------------------------------------------------------------------------------------------------
void enter_v86(SystemBench& bench, uint32_t rflags) {
    const std::vector<uint32_t> frame = {0x0010, 0x0200, rflags | 0x2'0002, 0x0100, 0x0500, 0x0601, 0x0602, 0x0603, 0x0604};
    bench.write_words(CpuHarness::k_stack, frame);
}

TEST(V86, iret_enters_and_interrupt_leaves_with_nine_words) {
    SystemBench bench(CpuMode::protected32);
    enter_v86(bench, 0);
    bench.write(0x2010, {0x8c, 0xd8, 0x0f, 0x0b});  // mov ax, ds; ud2 at 0200:0010
    bench.run({0xcf});
    ASSERT_TRUE(bench.halted_in(6));
    EXPECT_EQ(bench.gpr(k_rax), 0x0602U);
    EXPECT_EQ(bench.gpr(k_rsp), SystemBench::k_kernel_stack - 36);
    EXPECT_EQ(bench.frame(0), 0x12U);
    EXPECT_EQ(bench.frame(1), 0x0200U);
    EXPECT_TRUE(bench.frame(2) & k_flag_vm);
    EXPECT_EQ(bench.frame(3), 0x0100U);
    EXPECT_EQ(bench.frame(4), 0x0500U);
    EXPECT_EQ(bench.frame(5), 0x0601U);
    EXPECT_EQ(bench.frame(8), 0x0604U);
    EXPECT_FALSE(bench.state.rflags & k_flag_vm);
    EXPECT_TRUE(bench.state.segment[k_ds].unusable());
}

TEST(V86, iopl_sensitive_instructions_are_gp_below_iopl_3) {
    for (const std::vector<uint8_t>& code : {std::vector<uint8_t>{0xcd, 0x21}, {0xfa}, {0x9c}, {0x9d}, {0xcf}}) {
        SystemBench bench(CpuMode::protected32);
        enter_v86(bench, 0);
        bench.write(0x2010, code);
        bench.run({0xcf});
        EXPECT_TRUE(bench.halted_in(13)) << int{code[0]};
        EXPECT_EQ(bench.frame(0), 0U);
        EXPECT_EQ(bench.frame(1), 0x10U);
    }
}

TEST(V86, io_goes_by_the_bitmap_whatever_iopl_says) {
    SystemBench bench(CpuMode::protected32);
    bench.state.tr.limit = 0x68 + 0x2000;
    bench.write_value<uint8_t>(SystemBench::k_tss_base + 0x68 + 0x10 / 8, 0x02);  // port 0x11 forbidden
    enter_v86(bench, 0x3000);
    bench.write(0x2010, {0xe6, 0x10, 0xe6, 0x11});
    bench.run({0xcf});
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_EQ(bench.frame(1), 0x12U) << "the second OUT";
    EXPECT_EQ(bench.io.writes.size(), 1U);
}

TEST(IoBitmap, two_byte_access_needs_both_bits_and_short_tss_has_none) {
    SystemBench bench(CpuMode::protected32);
    bench.state.tr.limit = 0x68 + 0x2000;
    bench.write_value<uint8_t>(SystemBench::k_tss_base + 0x68 + 0x18 / 8, 0x01);  // port 0x18
    bench.enter_user();
    EXPECT_EQ(bench.error_of(13, {0x66, 0xe7, 0x17}), 0U);  // out 0x17, ax
    SystemBench none(CpuMode::protected32);
    none.enter_user();
    EXPECT_EQ(none.error_of(13, {0xe6, 0x10}), 0U);
}

// --- hardware tasks ------------------------------------------------------------------------------------------------------
class Tasks : public testing::Test {
  protected:
    Tasks() : bench(CpuMode::protected32) {
        const uint64_t tss = SystemBench::k_tss2_base;
        bench.write_value<uint32_t>(tss + 0x20, 0x3000);  // EIP
        bench.write_value<uint32_t>(tss + 0x24, 2);
        bench.write_value<uint32_t>(tss + 0x28, 0x1234);  // EAX
        bench.write_value<uint32_t>(tss + 0x38, 0x6000);  // ESP
        for (unsigned i = 0; i < 6; ++i) {
            bench.write_value<uint32_t>(tss + 0x48 + i * 4, i == k_cs ? k_kernel_code32 : k_kernel_data);
        }
    }
    SystemBench bench;
};

TEST_F(Tasks, jump_saves_old_task_and_moves_the_busy_bit) {
    bench.write(0x3000, {0xf4});
    bench.state.gpr[k_rbx] = 0x77;
    bench.run({0xea, 0, 0, 0, 0, k_tss2, 0});
    EXPECT_EQ(bench.state.rip, 0x3001U);
    EXPECT_EQ(bench.gpr(k_rax), 0x1234U);
    EXPECT_EQ(bench.state.tr.selector, k_tss2);
    EXPECT_EQ(bench.descriptor(k_tss) >> 40 & 0xf, 9U);
    EXPECT_EQ(bench.descriptor(k_tss2) >> 40 & 0xf, 11U);
    EXPECT_EQ(bench.read<uint32_t>(SystemBench::k_tss_base + 0x20), SystemBench::k_code + 7);
    EXPECT_EQ(bench.read<uint32_t>(SystemBench::k_tss_base + 0x34), 0x77U);
    EXPECT_TRUE(bench.state.cr0 & k_cr0_ts);
    EXPECT_FALSE(bench.state.rflags & k_flag_nt);
}

TEST_F(Tasks, call_nests_and_iret_returns) {
    bench.write(0x3000, {0xcf});
    bench.run({0x9a, 0, 0, 0, 0, k_tss2, 0, 0x43});  // call; inc ebx
    EXPECT_EQ(bench.state.rip, SystemBench::k_code + 9);
    EXPECT_EQ(bench.gpr(k_rbx), 1U);
    EXPECT_EQ(bench.state.tr.selector, k_tss);
    EXPECT_EQ(bench.read<uint16_t>(SystemBench::k_tss2_base), k_tss) << "back link";
    EXPECT_EQ(bench.descriptor(k_tss2) >> 40 & 0xf, 9U);
}

TEST_F(Tasks, fault_through_task_gate_pushes_error_code_on_the_new_stack) {
    bench.write_value<uint64_t>(SystemBench::k_idt + 13 * 8, 0x0000'8500'0000'0000 | uint64_t{k_tss2} << 16);
    bench.write(0x3000, {0xf4});
    bench.state.gpr[k_rax] = 0x0ff8;
    bench.run({0x8e, 0xd8});
    EXPECT_EQ(bench.state.rip, 0x3001U);
    EXPECT_EQ(bench.gpr(k_rsp), 0x6000U - 4);
    EXPECT_EQ(bench.frame(0), 0xff8U);
    EXPECT_EQ(bench.read<uint32_t>(SystemBench::k_tss_base + 0x20), SystemBench::k_code);
    EXPECT_TRUE(bench.state.rflags & k_flag_nt);
}

TEST_F(Tasks, busy_target_is_gp_and_short_tss_is_ts) {
    EXPECT_EQ(bench.error_of(13, {0x9a, 0, 0, 0, 0, k_tss, 0}), k_tss);
    SystemBench small(CpuMode::protected32);
    small.set_descriptor(k_tss2, small.descriptor(k_tss2) - 1);
    EXPECT_EQ(small.error_of(10, {0x9a, 0, 0, 0, 0, k_tss2, 0}), k_tss2);
}

TEST_F(Tasks, bad_stack_selector_is_ts_in_the_new_task) {
    bench.write_value<uint32_t>(SystemBench::k_tss2_base + 0x48 + k_ss * 4, k_kernel_code32);
    bench.write_value<uint64_t>(SystemBench::k_idt + 10 * 8, 0x0000'8500'0000'0000 | uint64_t{k_tss} << 16);
    bench.run({0xea, 0, 0, 0, 0, k_tss2, 0});
    // #TS goes through a task gate back to the first task, whose next instruction is the HLT behind the jump.
    EXPECT_EQ(bench.state.rip, SystemBench::k_code + 8);
    EXPECT_EQ(bench.frame(0), k_kernel_code32);
    EXPECT_EQ(bench.read<uint32_t>(SystemBench::k_tss2_base + 0x20), 0x3000U) << "no instruction of the new task ran";
}

// --- what asks about selectors -------------------------------------------------------------------------------------------
TEST(Selectors, lar_lsl_verr_verw) {
    SystemBench bench(CpuMode::protected32);
    bench.state.gpr[k_rbx] = k_user_data;
    bench.run({0x0f, 0x02, 0xc3, 0x0f, 0x03, 0xcb, 0x0f, 0x00, 0xeb, 0x0f, 0x94, 0xc2});  // lar; lsl; verw; setz dl
    EXPECT_EQ(bench.gpr(k_rax), 0xcf'f300U);
    EXPECT_EQ(bench.gpr(k_rcx), 0xffff'ffffU);
    EXPECT_EQ(bench.gpr(k_rdx), 1U);
    SystemBench hidden(CpuMode::protected32);
    hidden.enter_user();
    hidden.state.gpr[k_rbx] = k_kernel_data;
    hidden.run({0x0f, 0x02, 0xc3});
    EXPECT_EQ(hidden.gpr(k_rax), 0U);
    EXPECT_FALSE(hidden.frame(3) & k_flag_zf);
}

TEST(Selectors, user_null_ss_and_umip_are_gp) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    EXPECT_EQ(bench.error_of(13, {0x8e, 0xd0}), 0U);
    SystemBench umip(CpuMode::long64);
    umip.enter_user();
    umip.state.cr4 |= k_cr4_umip;
    EXPECT_EQ(umip.error_of(13, {0x0f, 0x01, 0xe0}), 0U);  // smsw eax
}

TEST(Selectors, loading_marks_the_descriptor_accessed) {
    SystemBench bench(CpuMode::protected32);
    bench.set_descriptor(k_spare, 0x00cf'9200'0000'ffff);
    bench.state.gpr[k_rax] = k_spare;
    bench.run({0x8e, 0xc0});
    EXPECT_EQ(bench.descriptor(k_spare) >> 40 & 1, 1U);
}

TEST(Flags, popf_in_user_keeps_if_and_iopl) {
    SystemBench bench(CpuMode::long64);
    bench.enter_user();
    bench.state.rflags |= k_flag_if;
    bench.run({0x6a, 0x00, 0x9d});  // push 0; popfq
    ASSERT_TRUE(bench.halted_in(13));
    EXPECT_TRUE(bench.frame(3) & k_flag_if);
}

TEST(Flags, far_pointer_helper_jumps_indirect) {
    SystemBench bench(CpuMode::protected32);
    set_far_pointer(bench, 0x2000, 0x3000, k_kernel_code32);
    bench.write(0x3000, {0xf4});
    bench.run({0xff, 0x2d, 0x00, 0x20, 0x00, 0x00});  // jmp far [0x2000]
    EXPECT_EQ(bench.state.rip, 0x3001U);
}

}  // namespace
}  // namespace skep::test
