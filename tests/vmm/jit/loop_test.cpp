// SPDX-License-Identifier: GPL-3.0-or-later
// Loops of one block, whose later rounds rely on what the first one has found out, on both engines.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_gigabyte = uint64_t{1} << 30;  // the end of what is mapped

void compare_loop(const char* what, const Bytes& body, uint64_t table = CpuHarness::k_data) {
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        fill_state(cpu, 3);
        cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
        cpu.state.gpr[k_rbp] = table;
        cpu.run(loop_of(body));
    });
    engines.expect_equal(what);
    EXPECT_GT(engines.stats().entries, 0U) << what;
}

// mov ecx, 200; mov rdx, rbx; l: mov r11d, eax; xor al, [rdx]; add rdx, 1; movzx eax, al; shr r11d, 8;
// xor r11d, [rbp+rax*4]; mov eax, r11d; sub ecx, 1; jnz l
const Bytes k_checksum{0xb9, 0xc8, 0,    0,    0,    0x48, 0x89, 0xda, 0x41, 0x89, 0xc3, 0x32, 0x02, 0x48, 0x83, 0xc2, 0x01, 0x0f, 0xb6,
                       0xc0, 0x41, 0xc1, 0xeb, 0x08, 0x44, 0x33, 0x5c, 0x85, 0x00, 0x44, 0x89, 0xd8, 0x83, 0xe9, 0x01, 0x75, 0xe3};

TEST(Loops, tables_compare_equal) {
    compare_loop("on a page", k_checksum);
    compare_loop("on two pages", k_checksum, CpuHarness::k_data + 0x1000 - 0x200);
}

TEST(Loops, a_table_that_ends_faults_there) {
    // mov ecx, 250; xor eax, eax; l: add eax, 1; movzx edx, al; add rsi, [rbp+rdx*4]; sub ecx, 1; jnz l
    compare_loop("part of a table", {0xb9, 0xfa, 0,    0,    0,    0x31, 0xc0, 0x83, 0xc0, 0x01, 0x0f, 0xb6,
                                     0xd0, 0x48, 0x03, 0x74, 0x95, 0x00, 0x83, 0xe9, 0x01, 0x75, 0xf0},
                 k_gigabyte - 0x300);
}

TEST(Loops, tables_that_are_written_compare_equal) {
    // mov ecx, 100; l: add eax, 0x3d; movzx edx, al; add [rbp+rdx*2], cx; mov r10, rbp; mov r15, rdx; add [r10+r15], dl; sub ecx, 1; jnz l
    const Bytes body{0xb9, 0x64, 0,    0,    0,    0x83, 0xc0, 0x3d, 0x0f, 0xb6, 0xd0, 0x66, 0x01, 0x4c, 0x55, 0x00, 0x49,
                     0x89, 0xea, 0x49, 0x89, 0xd7, 0x43, 0x00, 0x14, 0x3a, 0x83, 0xe9, 0x01, 0x75, 0xe6};
    compare_loop("on a page", body);
    compare_loop("on two pages", body, CpuHarness::k_data + 0x1000 - 0x100);
}

TEST(Loops, operands_that_stay_compare_equal) {
    // mov ecx, 40; l: add [rbx], rax; adc rdx, [rbx+8]; lea rax, [rax+rdx*2]; sub ecx, 1; jnz l; adc rsi, 0
    compare_loop("counter", {0xb9, 0x28, 0,    0,    0,    0x48, 0x01, 0x03, 0x48, 0x13, 0x53, 0x08, 0x48,
                             0x8d, 0x04, 0x50, 0x83, 0xe9, 0x01, 0x75, 0xf0, 0x48, 0x83, 0xd6, 0x00});
    // mov ecx, 40; l: push rax; pop rdx; add rax, rdx; cmp ecx, 5; lea ecx, [rcx-1]; ja l; sbb rsi, 0
    compare_loop("stack", {0xb9, 0x28, 0,    0,    0,    0x50, 0x5a, 0x48, 0x01, 0xd0, 0x83, 0xf9, 0x05,
                           0x8d, 0x49, 0xff, 0x77, 0xf3, 0x48, 0x83, 0xde, 0x00});
}

TEST(Loops, vectors_in_later_rounds_compare_equal) {
    // mov ecx, 40; mov rdx, rbx; l: movdqa xmm0, [rdx]; paddd xmm0, [rbx]; movdqa [rdx], xmm0; add rdx, 16; cmp ecx, 1;
    // lea ecx, [rcx-1]; jne l
    compare_loop("sums", {0xb9, 0x28, 0,    0,    0,    0x48, 0x89, 0xda, 0x66, 0x0f, 0x6f, 0x02, 0x66, 0x0f, 0xfe, 0x03,
                          0x66, 0x0f, 0x7f, 0x02, 0x48, 0x83, 0xc2, 0x10, 0x83, 0xf9, 0x01, 0x8d, 0x49, 0xff, 0x75, 0xe8});
}

// The flags at the fault are those of the round before, where nothing has kept them.
TEST(Loops, a_fault_in_a_later_round_shows_the_exact_state) {
    // l: mov rdx, [rbp]; add rbp, 0x10000; cmp rbp, rax; jne l
    compare_loop("runs off", {0x48, 0x8b, 0x55, 0x00, 0x48, 0x81, 0xc5, 0x00, 0x00, 0x01, 0x00, 0x48, 0x39, 0xc5, 0x75, 0xf0},
                 k_gigabyte - 0x500000);
}

}  // namespace
}  // namespace skep::test
