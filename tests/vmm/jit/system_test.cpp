// SPDX-License-Identifier: GPL-3.0-or-later
// System instructions that translated code runs itself.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

void compare_loop(const char* what, const Bytes& body) {
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 9);
        cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
        cpu.state.msr.kernel_gs_base = CpuHarness::k_data + 128;
        cpu.run(loop_of(body));
    });
    engines.expect_equal(what);
    EXPECT_EQ(engines.interpreted.state.msr.kernel_gs_base, engines.translated.state.msr.kernel_gs_base) << what;
    EXPECT_EQ(engines.interpreted.state.segment[k_gs].base, engines.translated.state.segment[k_gs].base) << what;
    EXPECT_GT(engines.stats().regions, 0U) << what;
}

TEST(System, flag_instructions_compare_equal) {
    compare_loop("cli; sti", {0xfa, 0x48, 0x01, 0xc8, 0xfb, 0x48, 0x11, 0xd0});
    compare_loop("std; cld", {0xfd, 0x9c, 0x58, 0xfc, 0x9c, 0x5a});
    compare_loop("add; pushfq; pop rax; adc", {0x48, 0x01, 0xc8, 0x9c, 0x58, 0x48, 0x11, 0xd0});
    // pushfq; xor dword [rsp], DF|IF|CF|ZF|OF; popfq; adc rdx, rax; pushfq; pop rsi; cld
    compare_loop("popfq", {0x9c, 0x81, 0x34, 0x24, 0x41, 0x0e, 0, 0, 0x9d, 0x48, 0x11, 0xc2, 0x9c, 0x5e, 0xfc});
    // pushfq; xor dword [rsp], AC|ID; popfq; pushfq; pop rsi
    compare_loop("popfq of AC and ID", {0x9c, 0x81, 0x34, 0x24, 0, 0, 0x24, 0, 0x9d, 0x9c, 0x5e});
}

TEST(System, access_rules_and_segments_compare_equal) {
    compare_loop("stac; add [rbx], rax; clac; add [rbx+8], rax",
                 {0x0f, 0x01, 0xcb, 0x48, 0x01, 0x03, 0x0f, 0x01, 0xca, 0x48, 0x01, 0x43, 0x08});
    // swapgs; add rax, gs:[8]; swapgs: the same base as the loop's own accesses have
    compare_loop("swapgs", {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x03, 0x04, 0x25, 8, 0, 0, 0, 0x0f, 0x01, 0xf8});
    compare_loop("mov eax, ss; mov r13, cs; mov edx, gs", {0x8c, 0xd0, 0x4d, 0x8c, 0xcd, 0x8c, 0xea});
}

// l: add rax, rcx; pause; adc rax, rdx; dec ebp; jnz l; hlt
uint64_t run_pauses(CpuHarness& cpu, uint32_t rounds) {
    cpu.state.gpr[k_rax] = 0x0123'4567'89ab'cdef;
    cpu.state.gpr[k_rcx] = 0x9e37'79b9'7f4a'7c15;
    cpu.state.gpr[k_rdx] = 0x7fff'0000'ffff'0001;
    cpu.state.gpr[k_rbp] = rounds;
    cpu.run({0x48, 0x01, 0xc8, 0xf3, 0x90, 0x48, 0x11, 0xd0, 0xff, 0xcd, 0x75, 0xf4, 0xf4});
    EXPECT_EQ(cpu.state.gpr[k_rbp], 0U);
    return cpu.state.gpr[k_rax];
}

// A long row of PAUSEs: with another processor to wait for it stops now and then, flags and all as before.
TEST(System, processor_that_spins_for_long_leaves_the_host_to_others) {
    constexpr uint32_t k_many = 200'000;
    CpuHarness interpreted(CpuMode::long64, 1);
    const uint64_t sum = run_pauses(interpreted, k_many);
    for (const unsigned cpus : {1U, 2U}) {
        CpuHarness translated(std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = {.threshold = 2}}), CpuMode::long64, cpus);
        EXPECT_EQ(run_pauses(translated, k_many), sum);
        const jit::JitStats& stats = static_cast<jit::JitTranslator&>(*translated.core().translator).stats();
        EXPECT_EQ(stats.spin_waits != 0, cpus == 2) << cpus << " processors";
    }
}

TEST(System, time_stamps_grow_and_fill_both_registers) {
    // l: rdtsc; shl rdx, 32; or rax, rdx; cmp rax, rsi; jbe bad; mov rsi, rax; rdtscp; (the same); mov edi, ecx; dec ebp; jnz l;
    // hlt; bad: mov ebp, -1; hlt
    const Bytes code{0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x48, 0x39, 0xf0, 0x76, 0x1d, 0x48, 0x89, 0xc6,
                     0x0f, 0x01, 0xf9, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x48, 0x39, 0xf0, 0x76, 0x0b,
                     0x48, 0x89, 0xc6, 0x89, 0xcf, 0xff, 0xcd, 0x75, 0xd7, 0xf4, 0x90, 0xbd, 0xff, 0xff, 0xff, 0xff, 0xf4};
    Engines engines;
    CpuHarness& cpu = engines.translated;
    cpu.state.gpr[k_rsi] = 0;
    cpu.state.gpr[k_rbp] = k_rounds;
    cpu.state.msr.tsc_aux = 0x1234'5678;
    cpu.run(code);
    EXPECT_EQ(cpu.state.gpr[k_rbp], 0U);
    EXPECT_EQ(cpu.state.gpr[k_rdi], 0x1234'5678U);
    EXPECT_GT(engines.stats().regions, 0U);
}

// An interrupt that has come while they were shut out is taken where the guest lets it in, by whatever instruction: without
// an IDT that is where the processor shuts down.
TEST(System, interrupt_that_waits_is_taken_at_the_same_place) {
    constexpr unsigned k_hot = 60;
    const Bytes by_sti{0xfa, 0xee, 0x90, 0xfb, 0x90, 0x90};                                       // cli; out dx, al; nop; sti; nop
    const Bytes by_popf{0xfa, 0xee, 0x9c, 0x81, 0x0c, 0x24, 0, 2, 0, 0, 0x9d, 0x90};  // ...; pushfq; or [rsp], IF; popfq
    for (const Bytes& body : {by_sti, by_popf}) {
        Engines engines;
        engines.each([&](CpuHarness& cpu) {
            unsigned writes = 0;
            cpu.io.on_port_write = [&](uint16_t, uint32_t) {
                if (++writes == k_hot) {
                    cpu.io.vectors.push_back(0x40);
                    cpu.vcpu().kick(KickReason::interrupt);
                }
            };
            fill_state(cpu, 9);
            cpu.run(loop_of(body));
            EXPECT_EQ(writes, k_hot);
        });
        engines.expect_equal("interrupt");
        EXPECT_EQ(engines.translated.state.activity, Activity::shutdown);
    }
}

}  // namespace
}  // namespace skep::test
