// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses that the inlined check misses: pages that share an entry, pages not present, faults in the middle of a loop.
#include <gtest/gtest.h>

#include "tests/vmm/jit/two_engines.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_one_entry = interp::k_tlb_entries * k_page_size;  // pages so far apart share one

// rbx and rsi, so far apart
void spread_pointers(CpuHarness& cpu, uint64_t distance) {
    fill_state(cpu, 5);
    cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
    cpu.state.gpr[k_rsi] = cpu.state.gpr[k_rbx] + distance;
    cpu.write_value<uint64_t>(cpu.state.gpr[k_rsi], 0x1122'3344'5566'7788);
}

TEST(Refill, two_pages_of_one_entry_are_both_known) {
    // add [rbx], rax; add [rsi], rdx; mov rcx, [rbx]; xor rdx, [rsi+8]
    const Bytes body{0x48, 0x01, 0x03, 0x48, 0x01, 0x16, 0x48, 0x8b, 0x0b, 0x48, 0x33, 0x56, 0x08};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        spread_pointers(cpu, k_one_entry);
        cpu.run(loop_of(body));
    });
    engines.expect_equal("two pages");
    const interp::Core& core = engines.translated.core();
    const uint64_t index = CpuHarness::k_data / k_page_size % interp::k_tlb_entries;
    const interp::TlbSet& set = core.tlb_sets[interp::k_as_supervisor];
    EXPECT_EQ(set[index].write_tag + set[index + interp::k_tlb_entries].write_tag, 2 * CpuHarness::k_data + k_one_entry);
}

TEST(Refill, a_page_behind_is_dropped_by_every_flush) {
    for (const uint64_t page : {CpuHarness::k_data, CpuHarness::k_data + k_one_entry}) {
        Engines engines;
        engines.each([&](CpuHarness& cpu) {
            spread_pointers(cpu, k_one_entry);
            cpu.run(loop_of({0x48, 0x01, 0x03, 0x48, 0x01, 0x16}));
        });
        interp::Core& core = engines.translated.core();
        const auto known = [&] {
            const uint64_t index = page / k_page_size % interp::k_tlb_entries;
            const interp::TlbSet& set = core.tlb_sets[interp::k_as_supervisor];
            return set[index].read_tag == page || set[index + interp::k_tlb_entries].read_tag == page;
        };
        EXPECT_TRUE(known());
        interp::flush_tlb_page(core, page);
        EXPECT_FALSE(known());
    }
}

TEST(Refill, a_block_move_between_pages_of_one_entry_moves_all) {
    // cld; mov ecx, 3000; push rsi; push rdi; rep movsb; pop rdi; pop rsi
    const Bytes body{0xfc, 0xb9, 0xb8, 0x0b, 0, 0, 0x56, 0x57, 0xf3, 0xa4, 0x5f, 0x5e};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        spread_pointers(cpu, k_one_entry);
        cpu.state.gpr[k_rsi] = CpuHarness::k_data;
        cpu.state.gpr[k_rdi] = CpuHarness::k_data + k_one_entry;
        cpu.run(loop_of(body));
    });
    engines.expect_equal("rep movsb");
    EXPECT_EQ(engines.translated.read<uint64_t>(CpuHarness::k_data + k_one_entry),
              engines.translated.read<uint64_t>(CpuHarness::k_data));
}

TEST(Refill, pages_that_take_turns_in_their_entries_are_all_found) {
    // mov rdx, rbx; mov ecx, 768; l: add [rdx], rax; add rdx, 4 MiB + 4 KiB; and rdx, 0x5fffff; or rdx, 1 MiB; dec ecx; jnz l
    const Bytes body{0x48, 0x89, 0xda, 0xb9, 0x00, 0x03, 0, 0, 0x48, 0x01, 0x02, 0x48, 0x81, 0xc2, 0x00, 0x10, 0x40, 0,
                     0x48, 0x81, 0xe2, 0xff, 0xff, 0x5f, 0, 0x48, 0x81, 0xca, 0x00, 0x00, 0x10, 0x00, 0xff, 0xc9, 0x75, 0xe4};
    Engines engines;
    engines.each([&](CpuHarness& cpu) {
        spread_pointers(cpu, k_one_entry);
        cpu.run(loop_of(body));
    });
    engines.expect_equal("many pages");
}

}  // namespace
}  // namespace skep::test
