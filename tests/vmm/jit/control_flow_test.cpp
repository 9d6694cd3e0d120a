// SPDX-License-Identifier: GPL-3.0-or-later
// Calls, returns and jumps from page to page on both engines.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_page = 0x1000;
constexpr uint64_t k_other = 0x3000;  // a page of code beside that of CpuHarness::k_code

Bytes rel32(uint64_t target, uint64_t end) {
    const auto distance = static_cast<uint32_t>(target - end);
    Bytes bytes;
    for (unsigned i = 0; i < 4; ++i) {
        bytes.push_back(static_cast<uint8_t>(distance >> (8 * i)));
    }
    return bytes;
}
Bytes branch(uint8_t opcode, uint64_t at, uint64_t target) { return Bytes{opcode} + rel32(target, at + 5); }
Bytes call(uint64_t at, uint64_t target) { return branch(0xe8, at, target); }
Bytes jump(uint64_t at, uint64_t target) { return branch(0xe9, at, target); }

struct Piece {
    uint64_t at;
    Bytes code;
};

// The loop `body` (at CpuHarness::k_code) with other code around.
void compare(const char* what, const Bytes& body, const std::vector<Piece>& others) {
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 5);
        for (const Piece& one : others) {
            cpu.write(one.at, one.code);
        }
        cpu.state.gpr[k_rsp] = 0x80000;
        cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
        cpu.run(loop_of(body));
    });
    engines.expect_equal(what);
    EXPECT_GT(engines.stats().regions, 0U) << what;
    EXPECT_EQ(engines.translated.state.activity, Activity::halted) << what;
}

TEST(ControlFlow, calls_and_jumps_to_another_page_compare_equal) {
    // add rax, 3; adc rdx, 0; ret
    compare("call", call(CpuHarness::k_code, k_other), {{k_other, {0x48, 0x83, 0xc0, 3, 0x48, 0x83, 0xd2, 0, 0xc3}}});
    // inc r13; jmp back
    compare("jump and back", jump(CpuHarness::k_code, k_other),
            {{k_other, Bytes{0x49, 0xff, 0xc5} + jump(k_other + 3, CpuHarness::k_code + 5)}});
    // test al, 1; jnz other; inc rax; other: add rax, 5; jmp back to inc
    compare("condition", Bytes{0xa8, 1, 0x0f, 0x85} + rel32(k_other, CpuHarness::k_code + 8) + Bytes{0x48, 0xff, 0xc0},
            {{k_other, Bytes{0x48, 0x83, 0xc0, 5} + jump(k_other + 4, CpuHarness::k_code + 8)}});
    // lea rsi, [other]; call rsi, twice; the second through memory
    compare("indirect", {0xbe, 0x00, 0x30, 0, 0, 0xff, 0xd6, 0x48, 0x89, 0x33, 0xff, 0x13},
            {{k_other, {0x48, 0x01, 0xd0, 0xc3}}});
    // ret 16 with arguments
    compare("ret n", Bytes{0x50, 0x52} + call(CpuHarness::k_code + 2, k_other),
            {{k_other, {0x48, 0x03, 0x44, 0x24, 8, 0xc2, 0x10, 0}}});
}

// other: from the end of one page over to the next, where the function ends.
TEST(ControlFlow, code_that_runs_over_the_end_of_a_page_compares_equal) {
    constexpr uint64_t k_end = k_other + k_page;
    compare("falls over", call(CpuHarness::k_code, k_end - 6),
            {{k_end - 6, {0x48, 0xff, 0xc0, 0x48, 0xff, 0xc2, 0x48, 0x01, 0xd0, 0xc3}}});
    // The call is the last instruction of its page: it returns to the next one.
    compare("call at the end", call(CpuHarness::k_code, k_end - 5),
            {{k_end - 5, call(k_end - 5, k_other) + Bytes{0x48, 0x31, 0xd0, 0xc3}}, {k_other, {0x48, 0xff, 0xc0, 0xc3}}});
    // The function lies across.
    compare("call across", call(CpuHarness::k_code, k_end - 2),
            {{k_end - 2, call(k_end - 2, k_other) + Bytes{0x48, 0x31, 0xd0, 0xc3}}, {k_other, {0x48, 0xff, 0xc0, 0xc3}}});
}

// f(ecx): inc rax; dec ecx; jz out; call f; add rdx, rax; out: ret
TEST(ControlFlow, recursion_deeper_than_the_return_stack_compares_equal) {
    for (const uint8_t depth : {5, 200}) {
        for (const uint8_t high : {0, 7}) {
            compare("recursion", Bytes{0xb9, depth, high, 0, 0} + call(CpuHarness::k_code + 5, k_other),
                    {{k_other, Bytes{0x48, 0xff, 0xc0, 0xff, 0xc9, 0x74, 8} + call(k_other + 7, k_other) +
                                   Bytes{0x48, 0x01, 0xc2, 0xc3}}});
        }
    }
}

TEST(ControlFlow, returns_that_do_not_match_their_call_compare_equal) {
    // mov rsi, rsp; call f; ...  f: call g; g: mov rsp, rsi; sub rsp, 8; ret: leaves f out, as longjmp() does
    compare("leaves a frame out", Bytes{0x48, 0x89, 0xe6} + call(CpuHarness::k_code + 3, k_other),
            {{k_other, call(k_other, k_other + 0x20) + Bytes{0x0f, 0x0b}},
             {k_other + 0x20, {0x48, 0xff, 0xc0, 0x48, 0x89, 0xf4, 0x48, 0x83, 0xec, 8, 0xc3}}});
    // f: pop r8; push r8; add qword [rsp], 3; ret: skips three bytes behind the call
    compare("comes back elsewhere", call(CpuHarness::k_code, k_other) + Bytes{0x0f, 0x0b, 0x90, 0x48, 0xff, 0xc2},
            {{k_other, {0x41, 0x58, 0x41, 0x50, 0x48, 0x83, 0x04, 0x24, 3, 0xc3}}});
    // push of an address and RET, without any call
    compare("push and ret", {0x68, 0x07, 0x10, 0, 0, 0xc3, 0x90, 0x48, 0xff, 0xc0}, {});
    // call over, where the return address is dropped
    compare("call without a return", {0xe8, 1, 0, 0, 0, 0x90, 0x41, 0x58, 0x4c, 0x01, 0xc0}, {});
}

// The function writes over the code behind the call that it returns to.
TEST(ControlFlow, a_return_point_that_was_written_over_runs_the_new_bytes) {
    // call f; add al, n: n is written by f, a counter
    compare("self-modifying return", call(CpuHarness::k_code, k_other) + Bytes{0x04, 0x01},
            {{k_other, {0xfe, 0xc3, 0x88, 0x1c, 0x25, 0x06, 0x10, 0, 0, 0xc3}}});  // inc bl; mov [0x1006], bl; ret
}

// A block in the middle of a region becomes hot by itself: it gets an entry, and the flags it goes on with.
TEST(ControlFlow, a_block_inside_a_region_gets_a_second_entry) {
    // inc rcx; test cl, 1; jz a; lea rsi, [b]; jmp rsi; a: dec rdx; jmp b; b: adc rax, 0
    const Bytes body{0x48, 0xff, 0xc1, 0xf6, 0xc1, 0x01, 0x74, 0x09, 0x48, 0x8d, 0x35, 0x07, 0,    0,
                     0,    0xff, 0xe6, 0x48, 0xff, 0xca, 0xeb, 0x00, 0x48, 0x83, 0xd0, 0x00};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 5);
        cpu.run(loop_of(body));
    });
    engines.expect_equal("second entry");
    EXPECT_GT(engines.stats().second_entries, 0U);
}

// The same linear page holds other code after CR3 changes, and the first again later.
TEST(ControlFlow, a_page_of_another_address_space_is_other_code) {
    constexpr uint64_t k_tables = 0x600000, k_second = 0x601000;  // copies of page tables: the first 2 MiB come from 4 MiB
    // mov rax, cr3 ... : toggles between the two by xor with r9, then calls f twice
    const Bytes body = Bytes{0x0f, 0x20, 0xd8, 0x4c, 0x31, 0xc8, 0x0f, 0x22, 0xd8, 0x31, 0xc0} +
                       call(CpuHarness::k_code + 11, 0x20'0000) + call(CpuHarness::k_code + 16, 0x20'0000) +
                       Bytes{0x01, 0xc2};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 5);
        cpu.write(0x20'0000, {0x48, 0xff, 0xc0, 0xc3});        // inc rax; ret
        cpu.write(0x40'0000, {0x48, 0x83, 0xc0, 7, 0xc3});     // add rax, 7; ret
        for (uint64_t at = 0; at < 0x3000; at += 8) {           // PML4, PDPT, PD
            cpu.write_value<uint64_t>(k_tables + at, cpu.read<uint64_t>(CpuHarness::k_tables + at));
        }
        const uint64_t moved = CpuHarness::k_tables - k_tables;
        cpu.write_value<uint64_t>(k_tables, cpu.read<uint64_t>(k_tables) - moved);
        cpu.write_value<uint64_t>(k_second, cpu.read<uint64_t>(k_second) - moved);
        cpu.write_value<uint64_t>(k_tables + 0x2008, cpu.read<uint64_t>(CpuHarness::k_tables + 0x2010));
        cpu.state.gpr[k_r9] = CpuHarness::k_tables ^ k_tables;
        cpu.state.gpr[k_rdx] = 0;
        cpu.run(loop_of(body));
    });
    engines.expect_equal("address spaces");
    EXPECT_EQ(engines.translated.state.activity, Activity::halted);
    EXPECT_EQ(static_cast<uint32_t>(engines.translated.state.gpr[k_rdx]), 50U * 2 + 50U * 14);
}

// A counted loop in the last page of the low half, whose way out is no canonical address.
TEST(ControlFlow, a_direct_branch_to_non_canonical_faults_at_the_branch) {
    constexpr uint64_t k_physical = 0x1f'ff00, k_linear = CpuHarness::k_last_low + k_physical;
    struct Row {
        const char* what;
        Bytes code;
        uint64_t rip;  // of the fault, from k_linear
    };
    const Row rows[] = {
        // inc rax; dec rcx; js bad; jmp to the start
        {"conditional", {0x48, 0xff, 0xc0, 0x48, 0xff, 0xc9, 0x0f, 0x88, 0, 1, 0, 0, 0xeb, 0xf2}, 6},
        // inc rax; dec rcx; jns to the start; jmp bad
        {"jump", {0x48, 0xff, 0xc0, 0x48, 0xff, 0xc9, 0x79, 0xf8, 0xe9, 0, 1, 0, 0}, 8},
        // inc rax; dec rcx; jns to the start; call bad
        {"call", {0x48, 0xff, 0xc0, 0x48, 0xff, 0xc9, 0x79, 0xf8, 0xe8, 0, 1, 0, 0}, 8},
    };
    for (const Row& row : rows) {
        Engines engines;
        engines.each([&](CpuHarness& cpu) {
            cpu.map_canonical_edge();
            cpu.write(k_physical, row.code);
            cpu.state.rip = k_linear;
            cpu.state.gpr[k_rcx] = 1000;
            cpu.vcpu().load(cpu.state);
            EXPECT_EQ(cpu.resume(), RunExit::shutdown) << row.what;
        });
        engines.expect_equal(row.what);
        EXPECT_EQ(engines.translated.state.rip, k_linear + row.rip) << row.what;
        EXPECT_GT(engines.stats().regions, 0U) << row.what;
    }
}

// The same page at another address, where the call is a good one, and was translated.
TEST(ControlFlow, a_call_that_is_no_canonical_one_here_faults_at_the_call) {
    constexpr uint64_t k_physical = 0x1f'ff00;
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        cpu.map_canonical_edge();
        // f: inc rax; dec rcx; call g; jnz f; ret, with g at 0x200100: ret
        cpu.write(k_physical, Bytes{0x48, 0xff, 0xc0, 0x48, 0xff, 0xc9, 0xe8, 0xf5, 1, 0, 0, 0x75, 0xf3, 0xc3});
        cpu.write(0x20'0100, {0xc3});
        cpu.state.gpr[k_rcx] = 1000;
        cpu.state.gpr[k_rdx] = CpuHarness::k_last_low + k_physical;
        cpu.write(CpuHarness::k_code, call(CpuHarness::k_code, k_physical) + Bytes{0xff, 0xd2, 0xf4});  // call rdx; hlt
        cpu.vcpu().load(cpu.state);
        EXPECT_EQ(cpu.resume(), RunExit::shutdown);
    });
    for (unsigned i = 0; i < 16; ++i) {
        EXPECT_EQ(engines.translated.state.gpr[i], engines.interpreted.state.gpr[i]) << i;
    }
    EXPECT_EQ(engines.translated.state.rip, CpuHarness::k_last_low + k_physical + 6);
    EXPECT_EQ(engines.translated.state.rip, engines.interpreted.state.rip);
    EXPECT_EQ(engines.translated.state.rflags, engines.interpreted.state.rflags);
}

}  // namespace
}  // namespace skep::test
