// SPDX-License-Identifier: GPL-3.0-or-later
// Small loops on both engines, compared register by register, flag by flag, byte by byte.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

void compare_loop(const char* what, const Bytes& body, uint64_t seed = 1) {
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, seed);
        cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
        cpu.run(loop_of(body));
    });
    engines.expect_equal(what);
    EXPECT_GT(engines.stats().regions, 0U) << what;
    EXPECT_GT(engines.stats().entries, 0U) << what;
}

TEST(Translator, integer_loops_compare_equal) {
    compare_loop("add reg", {0x48, 0x01, 0xd0});
    compare_loop("add r13, r14", {0x4d, 0x01, 0xf5});
    compare_loop("add eax, r15d", {0x44, 0x01, 0xf8});
    compare_loop("adc rcx, [rbx]", {0x48, 0x13, 0x0b});
    compare_loop("sbb [rbx+8], r14", {0x4c, 0x19, 0x73, 0x08});
    compare_loop("inc dl", {0xfe, 0xc2});
    compare_loop("inc ah", {0xfe, 0xc4});
    compare_loop("add ch, [rbx]", {0x02, 0x2b});
    compare_loop("add [rbx], dh", {0x00, 0x33});
    compare_loop("mov al, ah; mov ah, dl", {0x88, 0xe0, 0x88, 0xd4});
    compare_loop("xor r13d, r13d; dec r13", {0x45, 0x31, 0xed, 0x49, 0xff, 0xcd});
    compare_loop("neg qword [rbx]; not r15", {0x48, 0xf7, 0x1b, 0x49, 0xf7, 0xd7});
    compare_loop("movzx edx, byte [rbx+1]; movsx r14, word [rbx+2]",
                 {0x0f, 0xb6, 0x53, 0x01, 0x4c, 0x0f, 0xbf, 0x73, 0x02});
    compare_loop("lea rdx, [r13+rcx*4+5]; lea r14d, [rdx]", {0x49, 0x8d, 0x54, 0x8d, 0x05, 0x44, 0x8d, 0x32});
    compare_loop("xchg rax, [rbx]; xadd [rbx+8], rcx", {0x48, 0x87, 0x03, 0x48, 0x0f, 0xc1, 0x4b, 0x08});
    compare_loop("lock cmpxchg [rbx], rdx", {0xf0, 0x48, 0x0f, 0xb1, 0x13});
    compare_loop("bswap r13; bsf rax, rcx; bsr r14, r14; cmp eax, edx",
                 {0x49, 0x0f, 0xcd, 0x48, 0x0f, 0xbc, 0xc1, 0x4d, 0x0f, 0xbd, 0xf6, 0x39, 0xd0});
    compare_loop("bts rax, 5; bt rdx, rcx; setc [rbx]; cmovnc rsi, [rbx+8]",
                 {0x48, 0x0f, 0xba, 0xe8, 0x05, 0x48, 0x0f, 0xa3, 0xca, 0x0f, 0x92, 0x03, 0x48, 0x0f, 0x43, 0x73, 0x08});
    compare_loop("cdqe; cqo; cwd; cbw", {0x48, 0x98, 0x48, 0x99, 0x66, 0x99, 0x66, 0x98});
}

TEST(Translator, shifts_and_multiplications_compare_equal) {
    compare_loop("shl rdx, 3; ror r14d, 5", {0x48, 0xc1, 0xe2, 0x03, 0x41, 0xc1, 0xce, 0x05});
    compare_loop("shl rdx, cl; sar qword [rbx], cl", {0x48, 0xd3, 0xe2, 0x48, 0xd3, 0x3b});
    compare_loop("rcl r13, cl; rcr byte [rbx+3], 1", {0x49, 0xd3, 0xd5, 0xd0, 0x5b, 0x03});
    compare_loop("xor ecx, ecx; stc; shl rdx, cl", {0x31, 0xc9, 0xf9, 0x48, 0xd3, 0xe2});
    compare_loop("shld rax, rdx, cl; shrd r8, r9, 7", {0x48, 0x0f, 0xa5, 0xd0, 0x4d, 0x0f, 0xac, 0xc8, 0x07});
    // What these leave in SF ZF AF PF, and DIV and IDIV in all flags, is undefined.
    compare_loop("mul rcx; imul r13; mul byte [rbx]; cmp eax, edx",
                 {0x48, 0xf7, 0xe1, 0x49, 0xf7, 0xed, 0xf6, 0x23, 0x39, 0xd0});
    compare_loop("imul rdx, [rbx], 77; imul r14, rax; cmp eax, edx",
                 {0x48, 0x6b, 0x13, 0x4d, 0x4c, 0x0f, 0xaf, 0xf0, 0x39, 0xd0});
    compare_loop("xor edx, edx; div rbx; xor edx, edx; div dword [rbx]; cmp eax, edx",
                 {0x31, 0xd2, 0x48, 0xf7, 0xf3, 0x31, 0xd2, 0xf7, 0x33, 0x39, 0xd0});
    compare_loop("cqo; idiv rbx; cdq; idiv dword [rbx+4]; cmp eax, edx",
                 {0x48, 0x99, 0x48, 0xf7, 0xfb, 0x99, 0xf7, 0x7b, 0x04, 0x39, 0xd0});
}

// What a recorded run is repeated from (vm.hpp): translated code may not read the clock past it.
TEST(Translator, witness_sees_every_look_at_the_clock) {
    class Counter final : public interp::Witness {
      public:
        uint64_t host_number(const interp::Core&, interp::HostNumber kind, uint64_t) override {
            count += kind == interp::HostNumber::tsc;
            return 0x1'0000'0000 + count;
        }
        unsigned count = 0;
    };
    Counter counter;
    CpuHarness cpu(std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = {.threshold = k_soon}}));
    static_cast<interp::InterpVm&>(*cpu.vm).set_witness(&counter);
    fill_state(cpu, 1);
    cpu.run(loop_of({0x0f, 0x31}));
    EXPECT_EQ(counter.count, k_rounds);
    EXPECT_EQ(cpu.gpr(k_rax), k_rounds);
    EXPECT_EQ(cpu.gpr(k_rdx), 1U);
}

TEST(Translator, stack_and_calls_compare_equal) {
    compare_loop("push rax; push r13; pop rcx; pop r14", {0x50, 0x41, 0x55, 0x59, 0x41, 0x5e});
    compare_loop("push [rbx]; pop rdx; push -5; pop r8; push rsp; pop rax",
                 {0xff, 0x33, 0x5a, 0x6a, 0xfb, 0x41, 0x58, 0x54, 0x58});
    compare_loop("push rbp; mov rbp, rsp; sub rsp, 32; leave", {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xc9});
    // call f; jmp over; f: add rax, 3; ret 0; over:
    compare_loop("call", {0xe8, 0x02, 0, 0, 0, 0xeb, 0x05, 0x48, 0x83, 0xc0, 0x03, 0xc3});
    // lea rdx, [rip+f]; call rdx; jmp over; f: inc r13; ret; over:
    compare_loop("call reg", {0x48, 0x8d, 0x15, 0x04, 0, 0, 0, 0xff, 0xd2, 0xeb, 0x04, 0x49, 0xff, 0xc5, 0xc3});
    // lea rdx, [rip+4]; mov [rbx], rdx; jmp [rbx]; over:
    compare_loop("jmp [mem]", {0x48, 0x8d, 0x15, 0x05, 0, 0, 0, 0x48, 0x89, 0x13, 0xff, 0x23});
}

TEST(Translator, branches_inside_a_region_compare_equal) {
    // test al, 1; jz a; add rdx, 5; jmp b; a: sub rdx, 3; b: ror rax, 1
    compare_loop("diamond", {0xa8, 0x01, 0x74, 0x06, 0x48, 0x83, 0xc2, 0x05, 0xeb, 0x04, 0x48, 0x83, 0xea, 0x03, 0x48, 0xd1, 0xc8});
    // mov ecx, 9; l: add rax, [rbx]; dec ecx; jnz l; adc rdx, 0
    compare_loop("inner loop", {0xb9, 0x09, 0, 0, 0, 0x48, 0x03, 0x03, 0xff, 0xc9, 0x75, 0xf9, 0x48, 0x83, 0xd2, 0x00});
    // mov ecx, 9; l: add rax, rdx; loop l
    compare_loop("loop", {0xb9, 0x09, 0, 0, 0, 0x48, 0x01, 0xd0, 0xe2, 0xfb});
}

TEST(Translator, unaligned_and_page_crossing_operands_compare_equal) {
    // mov rdx, 0x11ffd; add [rdx], rax; mov r14, [rdx]
    compare_loop("crossing", {0x48, 0xc7, 0xc2, 0xfd, 0x1f, 0x01, 0, 0x48, 0x01, 0x02, 0x4c, 0x8b, 0x32});
}

// A fault leaves the registers, the flags and RIP of before the instruction, wherever the flags were.
TEST(Translator, a_fault_in_a_hot_loop_shows_the_exact_state) {
    // mov rdx, [rbx]; add rax, rcx; mov rsi, [rdx+rbp]: RBP grows until that leaves the mapped gigabyte
    const Bytes code{0x48, 0x01, 0xc8, 0x48, 0x8b, 0x34, 0x2a, 0x48, 0x81, 0xc5, 0x00, 0x00, 0x10, 0x00, 0xeb, 0xf0};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 7);
        cpu.state.gpr[k_rdx] = CpuHarness::k_data;
        cpu.state.gpr[k_rbp] = uint64_t{0} - (uint64_t{8} << 20);
        cpu.state.gpr[k_rdx] = uint64_t{1} << 30;
        cpu.run(code);
    });
    engines.expect_equal("page fault");
    EXPECT_EQ(engines.translated.state.activity, Activity::shutdown);
}

TEST(Translator, division_by_zero_in_a_hot_loop_is_the_guests) {
    // xor edx, edx; mov rax, 1000; div rcx; dec rcx; jmp
    const Bytes code{0x31, 0xd2, 0x48, 0xc7, 0xc0, 0xe8, 0x03, 0, 0, 0x48, 0xf7, 0xf1, 0x48, 0xff, 0xc9, 0xeb, 0xef};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 3);
        cpu.state.gpr[k_rcx] = 200;
        cpu.run(code);
    });
    engines.expect_equal("division by zero");
    EXPECT_EQ(engines.translated.state.gpr[k_rcx], 0U);
}

// Code that writes into its own hot loop runs what it wrote.
TEST(Translator, self_modifying_code_runs_the_new_bytes) {
    // mov ecx, 300; l: add al, 1 (imm at 7); cmp ecx, 100; jne s; mov byte [rip+(imm)], 5; s: dec ecx; jnz l
    const Bytes code{0xb9, 0x2c, 0x01, 0, 0, 0x04, 0x01, 0x83, 0xf9, 0x64, 0x75, 0x07,
                     0xc6, 0x05, 0xf3, 0xff, 0xff, 0xff, 0x05, 0xff, 0xc9, 0x75, 0xee};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 3);
        cpu.state.gpr[k_rax] = 0;
        cpu.run(code);
    });
    engines.expect_equal("self-modifying");
    EXPECT_GT(engines.stats().dropped_pages, 0U);
}

// An instruction of a hot loop that lies across two pages is translated, and the part on the next page noticed when it
// changes.
TEST(Translator, an_instruction_across_two_pages_runs_its_new_bytes) {
    // mov ecx, 300; jmp l; ... l: nop; nop; nop; nop; add eax, 1 (two bytes on the page); cmp ecx, 100; jne s;
    // mov byte [rip+(imm + 2)], 5; s: dec ecx; jnz l
    const Bytes start{0xb9, 0x2c, 0x01, 0, 0, 0xe9, 0xf0, 0x0f, 0, 0};
    const Bytes loop{0x90, 0x90, 0x90, 0x90, 0x05, 0x01, 0, 0, 0, 0x83, 0xf9, 0x64, 0x75, 0x07, 0xc6,
                     0x05, 0xf2, 0xff, 0xff, 0xff, 0x05, 0xff, 0xc9, 0x75, 0xe7};
    const Bytes code = start + Bytes(4090 - start.size(), 0x90) + loop;
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 3);
        cpu.state.gpr[k_rax] = 0;
        cpu.run(code);
    });
    engines.expect_equal("across two pages");
    EXPECT_EQ(engines.translated.state.gpr[k_rax], 300U + 99 * 0x50000);
    EXPECT_LT(engines.stats().entries, 200U);  // most rounds did not come by the interpreter
}

// STI that ends on the next page ends its region: whether that page is the known one or not, no code follows.
TEST(Translator, sti_across_two_pages_leaves_its_region) {
    // mov ecx, 300; jmp l; ... l: cli; inc edx; nop; nop; rex sti (its second byte on the next page); dec ecx; jnz l
    const Bytes start{0xb9, 0x2c, 0x01, 0, 0, 0xe9, 0xf0, 0x0f, 0, 0};
    const Bytes loop{0xfa, 0xff, 0xc2, 0x90, 0x90, 0x49, 0xfb, 0xff, 0xc9, 0x75, 0xf5};
    const Bytes code = start + Bytes(4090 - start.size(), 0x90) + loop;
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 3);
        cpu.run(code);
    });
    engines.expect_equal("sti across two pages");
    EXPECT_GT(engines.stats().regions, 0U);
}

// An interrupt request ends a translated loop that would run for ever.
TEST(Translator, an_endless_loop_is_left_when_somebody_wants_something) {
    Engines engines;
    CpuHarness& cpu = engines.translated;
    unsigned writes = 0;
    cpu.io.on_port_write = [&](uint16_t, uint32_t) {
        if (++writes == 50) {
            cpu.vcpu().kick(KickReason::leave);
        }
    };
    EXPECT_EQ(cpu.run({0xe6, 0x80, 0x48, 0xff, 0xc0, 0xeb, 0xf9}), RunExit::kicked);  // l: out 80h, al; inc rax; jmp l
    EXPECT_EQ(writes, 50U);
}

}  // namespace
}  // namespace skep::test
