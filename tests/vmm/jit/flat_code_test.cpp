// SPDX-License-Identifier: GPL-3.0-or-later
// 32-bit code with flat segments on both engines: without paging, with two levels of tables and with PAE.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

enum class Paging { none, two_levels, pae };
constexpr Paging k_all_paging[] = {Paging::none, Paging::two_levels, Paging::pae};
constexpr uint64_t k_directory = 0x60'0000;

// One to one, with large pages.
void set_paging(CpuHarness& cpu, Paging paging) {
    constexpr uint64_t k_pse = 0x10, k_pae = 0x20, k_pg = 0x8000'0000;
    if (paging == Paging::none) {
        return;
    }
    if (paging == Paging::two_levels) {
        for (uint64_t i = 0; i < 1024; ++i) {
            cpu.write_value<uint32_t>(k_directory + i * 4, static_cast<uint32_t>(i << 22 | 0x87));
        }
        cpu.state.cr4 |= k_pse;
    } else {
        for (uint64_t i = 0; i < 4; ++i) {
            cpu.write_value<uint64_t>(k_directory + i * 8, (k_directory + (i + 1) * 0x1000) | 1);
        }
        for (uint64_t i = 0; i < 2048; ++i) {
            cpu.write_value<uint64_t>(k_directory + 0x1000 + i * 8, i << 21 | 0x87);
        }
        cpu.state.cr4 |= k_pae;
    }
    cpu.state.cr3 = k_directory;
    cpu.state.cr0 |= k_pg;
}

// As loop_of(): body; pushfd; dec dword [0x20000]; jz out; popfd; jmp body; out: popfd
Bytes flat_loop_of(const Bytes& body) {
    Bytes code = body + Bytes{0x9c, 0xff, 0x0d, 0x00, 0x00, 0x02, 0x00, 0x74, 0x06, 0x9d, 0xe9, 0, 0, 0, 0, 0x9d};
    const auto back = static_cast<uint32_t>(-static_cast<int32_t>(code.size() - 1));
    for (unsigned i = 0; i < 4; ++i) {
        code[code.size() - 5 + i] = static_cast<uint8_t>(back >> (8 * i));
    }
    return code;
}

void prepare(CpuHarness& cpu, Paging paging) {
    fill_state(cpu, 9);
    for (unsigned i = 0; i < 16; ++i) {
        cpu.state.gpr[i] = i < 8 ? static_cast<uint32_t>(cpu.state.gpr[i]) : 0;
    }
    cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
    cpu.state.cr4 |= 0x600;  // OSFXSR, OSXMMEXCPT
    cpu.state.segment[k_fs].base = CpuHarness::k_data;
    set_paging(cpu, paging);
}

void compare(const char* what, const Bytes& body) {
    for (const Paging paging : k_all_paging) {
        Engines engines(CpuMode::protected32);
        engines.each([&](CpuHarness& cpu) {
            prepare(cpu, paging);
            cpu.run(flat_loop_of(body));
        });
        engines.expect_equal(what);
        EXPECT_GT(engines.stats().regions, 0U) << what;
        EXPECT_EQ(engines.translated.state.activity, Activity::halted) << what;
    }
}

TEST(FlatCode, general_instructions_compare_equal) {
    compare("inc and dec of one byte", {0x40, 0x49, 0x42, 0x46, 0x4f});
    compare("add, adc, high bytes", {0x01, 0xc8, 0x11, 0xf2, 0x00, 0xec, 0x28, 0xfd, 0x88, 0xe6});
    compare("memory", {0x83, 0xe1, 0x07, 0x8b, 0x43, 0x04, 0x03, 0x44, 0x8b, 0xfc, 0x31, 0x03, 0x0f, 0xb6, 0x4b, 0x07, 0x66, 0x01, 0x0b});
    compare("absolute", {0xa1, 0x10, 0x00, 0x01, 0x00, 0x05, 0x78, 0x56, 0x34, 0x12, 0xa3, 0x18, 0x00, 0x01, 0x00});
    compare("mul, div by 7", {0xb9, 7, 0, 0, 0, 0xf7, 0xe1, 0x31, 0xd2, 0xf7, 0xf1});
    compare("lea, shifts", {0x8d, 0x44, 0x8a, 0x10, 0xc1, 0xe0, 0x03, 0xd3, 0xea, 0x99});
    compare("rep stosb", {0xbf, 0, 0x00, 0x03, 0, 0xb9, 0x20, 0, 0, 0, 0xf3, 0xaa});
    compare("sse", {0x0f, 0x10, 0x03, 0x0f, 0x58, 0xc1, 0x0f, 0x11, 0x43, 0x10, 0x66, 0x0f, 0x7e, 0xc2});
}

TEST(FlatCode, the_stack_moves_by_four) {
    compare("push and pop", {0x50, 0x53, 0x6a, 0xfe, 0xff, 0x33, 0x59, 0x5a, 0x5f, 0x58, 0x66, 0x50, 0x66, 0x5a});
    compare("frame", {0x55, 0x89, 0xe5, 0x83, 0xec, 0x10, 0x89, 0x45, 0xfc, 0x8b, 0x55, 0xfc, 0xc9});
    compare("pusha, popa", {0x60, 0x40, 0x61});
    // call f; jmp over; f: add eax, [esp]; ret 4, with an argument
    compare("call", {0x51, 0xe8, 0x02, 0, 0, 0, 0xeb, 0x06, 0x03, 0x04, 0x24, 0xc2, 0x04, 0x00});
    // call over a register: mov esi, f; call esi
    compare("call esi", {0xbe, 0x0a, 0x10, 0, 0, 0xff, 0xd6, 0xeb, 0x04, 0x90, 0x40, 0x42, 0xc3});
}

TEST(FlatCode, addresses_wrap_at_four_gibibytes) {
    // mov esi, 0xfffff000; mov eax, [esi + 0x11000]; lea edx, [esi + esi*4 + 0x20000]
    compare("wrap", {0xbe, 0x00, 0xf0, 0xff, 0xff, 0x8b, 0x86, 0x00, 0x10, 0x01, 0, 0x8d, 0x94, 0xb6, 0, 0, 2, 0});
    // push rbp's lower half where the upper half of a register is not zero: add [ebx], with ebx from 64-bit garbage
    Engines engines(CpuMode::protected32);
    engines.each([&](CpuHarness& cpu) {
        prepare(cpu, Paging::none);
        cpu.state.gpr[k_rbx] |= uint64_t{0xabcd} << 32;
        cpu.state.gpr[k_rsp] |= uint64_t{0xabcd} << 32;
        cpu.run(flat_loop_of({0x01, 0x03, 0x50, 0x58}));
    });
    engines.expect_equal("upper halves");
}

TEST(FlatCode, fs_is_added_and_its_limit_kept) {
    compare("fs", {0x64, 0xa1, 0x08, 0, 0, 0, 0x64, 0x01, 0x15, 0x10, 0, 0, 0});
    // The loop goes up to the limit: mov eax, fs:[ecx]; add ecx, 4; jmp
    for (const uint32_t limit : {0x1ffU, 0x201U, 0x203U}) {
        Engines engines(CpuMode::protected32);
        engines.each([&](CpuHarness& cpu) {
            prepare(cpu, Paging::none);
            cpu.state.segment[k_fs].limit = limit;
            cpu.state.gpr[k_rcx] = 0;
            EXPECT_EQ(cpu.run({0x64, 0x8b, 0x01, 0x83, 0xc1, 0x04, 0xeb, 0xf8}), RunExit::shutdown);
        });
        engines.expect_equal("limit");
        EXPECT_EQ(engines.translated.gpr(k_rcx), (limit + 1) / 4 * 4) << limit;
        EXPECT_GT(engines.stats().regions, 0U);
    }
}

TEST(FlatCode, flags_go_through_pushfd_and_popfd) {
    compare("pushfd, popfd", {0x39, 0xd8, 0x9c, 0x58, 0x83, 0xf0, 0x01, 0x50, 0x9d, 0x83, 0xd2, 0x00});
}

// A data segment with a base is the interpreter's.
TEST(FlatCode, segments_that_are_not_flat_are_not_translated) {
    Engines engines(CpuMode::protected32);
    engines.each([&](CpuHarness& cpu) {
        prepare(cpu, Paging::none);
        cpu.state.segment[k_ds].base = 0x100;
        cpu.write_value<uint32_t>(0x20100, k_rounds);
        cpu.run(flat_loop_of({0x8b, 0x03, 0x01, 0x43, 0x04}));
    });
    engines.expect_equal("base of DS");
    EXPECT_EQ(engines.stats().regions, 0U);
}

}  // namespace
}  // namespace skep::test
