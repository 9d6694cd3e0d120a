// SPDX-License-Identifier: GPL-3.0-or-later
// Paging as instructions see it: faults with CR2, accessed and dirty bits, what survives which flush.
#include "tests/vmm/interp/system_bench.hpp"
#include "vmm/interp/exceptions.hpp"
#include "vmm/interp/memory_access.hpp"
#include "vmm/interp/mmu.hpp"

namespace skep::test {
namespace {

using namespace x86;

// Long mode with one page of its own at k_page, mapped by a 4 KiB entry to k_frame_a.
class Paged : public testing::Test {
  protected:
    static constexpr uint64_t k_page = 0x4000'0000, k_frame_a = 0x60'0000, k_frame_b = 0x60'1000;
    static constexpr uint64_t k_p = 1, k_w = 2, k_u = 4, k_a = 0x20, k_d = 0x40, k_g = 0x100;

    Paged() : bench(CpuMode::long64) {
        bench.write_value<uint64_t>(CpuHarness::k_tables + 0x1008, (CpuHarness::k_tables + 0x3000) | 7);
        bench.write_value<uint64_t>(CpuHarness::k_tables + 0x3000, (CpuHarness::k_tables + 0x4000) | 7);
        map(k_frame_a | k_p | k_w | k_u);
        bench.write_value<uint64_t>(k_frame_a, 0xaaaa);
        bench.write_value<uint64_t>(k_frame_b, 0xbbbb);
        bench.state.gpr[k_rdi] = k_page;
        bench.state.gpr[k_rsi] = k_leaf;
        bench.state.gpr[k_rdx] = k_frame_b | k_p | k_w | k_u;
    }
    static constexpr uint64_t k_leaf = CpuHarness::k_tables + 0x4000;
    void map(uint64_t entry) { bench.write_value<uint64_t>(k_leaf, entry); }
    uint64_t leaf() const { return bench.read<uint64_t>(k_leaf); }
    void expect_fault(uint64_t error, std::initializer_list<uint8_t> code) {
        EXPECT_EQ(bench.error_of(14, code), error);
        EXPECT_EQ(bench.state.cr2, k_page);
        EXPECT_EQ(bench.frame(1), SystemBench::k_code);
    }
    SystemBench bench;
};

const std::initializer_list<uint8_t> k_load = {0x48, 0x8b, 0x07};   // mov rax, [rdi]
const std::initializer_list<uint8_t> k_store = {0x48, 0x89, 0x07};  // mov [rdi], rax

TEST_F(Paged, load_sets_accessed_and_store_sets_dirty) {
    bench.run(k_load);
    EXPECT_EQ(bench.gpr(k_rax), 0xaaaaU);
    EXPECT_EQ(leaf() & (k_a | k_d), k_a);
    bench.state.rip = CpuHarness::k_code;
    bench.run(k_store);
    EXPECT_EQ(leaf() & (k_a | k_d), k_a | k_d);
}

TEST_F(Paged, store_after_load_still_sets_dirty) {
    bench.run({0x48, 0x8b, 0x07, 0x48, 0x89, 0x07});
    EXPECT_EQ(leaf() & (k_a | k_d), k_a | k_d);
}

TEST_F(Paged, not_present_faults_with_cr2) {
    map(0);
    expect_fault(0, k_load);
}
TEST_F(Paged, not_present_store_faults) {
    map(0);
    expect_fault(2, k_store);
}
TEST_F(Paged, read_only_store_faults_under_wp) {
    map(k_frame_a | k_p);
    expect_fault(3, k_store);
}
TEST_F(Paged, read_only_store_from_ring0_without_wp_works) {
    map(k_frame_a | k_p);
    bench.state.cr0 &= ~k_cr0_wp;
    bench.state.gpr[k_rax] = 0x55;
    bench.run(k_store);
    EXPECT_EQ(bench.read<uint64_t>(k_frame_a), 0x55U);
}
TEST_F(Paged, user_access_to_supervisor_page_faults) {
    map(k_frame_a | k_p | k_w);
    bench.enter_user();
    expect_fault(5, k_load);
}
TEST_F(Paged, user_store_to_read_only_page_faults) {
    map(k_frame_a | k_p | k_u);
    bench.enter_user();
    expect_fault(7, k_store);
}
TEST_F(Paged, reserved_bit_faults) {
    map(k_frame_a | k_p | k_w | k_u | uint64_t{1} << 45);
    expect_fault(9, k_load);
}

TEST_F(Paged, fetch_from_no_execute_page_faults_at_its_target) {
    map(k_frame_a | k_p | k_w | k_u | uint64_t{1} << 63);
    EXPECT_EQ(bench.error_of(14, {0xff, 0xe7}), 0x11U);  // jmp rdi
    EXPECT_EQ(bench.frame(1), k_page);
    EXPECT_EQ(bench.state.cr2, k_page);
}

TEST_F(Paged, smep_stops_kernel_fetch_from_user_page) {
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x2000, 0x83);  // the code's own page is the kernel's
    bench.state.cr4 |= k_cr4_smep;
    EXPECT_EQ(bench.error_of(14, {0xff, 0xe7}), 0x11U);
}

TEST_F(Paged, smap_stops_kernel_access_until_stac) {
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x2000, 0x83);
    bench.state.cr4 |= k_cr4_smap;
    expect_fault(1, k_load);
    SystemBench& again = bench;
    again.state = again.initial_state();
    again.state.cr4 |= k_cr4_smap;
    again.state.gpr[k_rdi] = k_page;
    again.run({0x0f, 0x01, 0xcb, 0x48, 0x8b, 0x07});  // stac; mov rax, [rdi]
    EXPECT_EQ(again.gpr(k_rax), 0xaaaaU);
}

TEST_F(Paged, implicit_accesses_ignore_ac_and_cpl) {
    // The GDT on a supervisor page is read for a user's segment load.
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x2000, 0x87);
    map(SystemBench::k_gdt | k_p | k_w);
    bench.state.gdtr.base = k_page;
    bench.enter_user();
    bench.state.gpr[k_rax] = k_user_data;
    bench.run({0x8e, 0xd8, 0xff, 0xc3});  // mov ds, eax; inc ebx
    EXPECT_EQ(bench.gpr(k_rbx), 1U);
}

TEST_F(Paged, changed_entry_shows_after_invlpg) {
    // load; change the entry; invlpg; load
    bench.run({0x48, 0x8b, 0x07, 0x48, 0x89, 0x16, 0x0f, 0x01, 0x3f, 0x48, 0x8b, 0x07});
    EXPECT_EQ(bench.gpr(k_rax), 0xbbbbU);
}

TEST_F(Paged, cr3_write_drops_ordinary_entries_and_keeps_global_ones) {
    const std::initializer_list<uint8_t> code = {0x48, 0x8b, 0x07, 0x48, 0x89, 0x16, 0x0f, 0x20, 0xd9,
                                                 0x0f, 0x22, 0xd9, 0x48, 0x8b, 0x07};  // ... mov rcx, cr3; mov cr3, rcx
    bench.state.cr4 |= k_cr4_pge;
    const CpuState start = bench.state;
    bench.run(code);
    EXPECT_EQ(bench.gpr(k_rax), 0xbbbbU);
    map(k_frame_a | k_p | k_w | k_u | k_g);
    bench.state = start;
    bench.run(code);
    EXPECT_EQ(bench.gpr(k_rax), 0xaaaaU) << "global";
}

TEST_F(Paged, toggling_pge_drops_global_entries) {
    bench.state.cr4 |= k_cr4_pge;
    map(k_frame_a | k_p | k_w | k_u | k_g);
    bench.state.gpr[k_rbx] = bench.state.cr4 & ~k_cr4_pge;
    bench.run({0x48, 0x8b, 0x07, 0x48, 0x89, 0x16, 0x0f, 0x22, 0xe3, 0x48, 0x8b, 0x07});  // ... mov cr4, rbx
    EXPECT_EQ(bench.gpr(k_rax), 0xbbbbU);
}

TEST_F(Paged, invlpg_inside_large_page_drops_all_of_it) {
    constexpr uint64_t k_directory = CpuHarness::k_tables + 0x3008;
    bench.write_value<uint64_t>(k_directory, 0x60'0000 | 0x87);
    bench.state.gpr[k_rdi] = k_page + 0x20'0000;          // frame a's bytes
    bench.state.gpr[k_rbx] = k_page + 0x20'0000 + 0x5000;  // another 4 KiB of the same large page
    bench.state.gpr[k_rsi] = k_directory;
    bench.state.gpr[k_rdx] = 0x40'0000 | 0x87;
    bench.write_value<uint64_t>(0x40'0000, 0xcccc);
    bench.run({0x48, 0x8b, 0x07, 0x48, 0x89, 0x16, 0x0f, 0x01, 0x3b, 0x48, 0x8b, 0x07});  // ... invlpg [rbx]
    EXPECT_EQ(bench.gpr(k_rax), 0xccccU);
}

TEST_F(Paged, pcid_rules_of_cr4_and_no_flush_bit_of_cr3) {
    bench.state.cr4 |= k_cr4_pcide;
    bench.state.gpr[k_rbx] = CpuHarness::k_tables | 5 | uint64_t{1} << 63;
    bench.run({0x0f, 0x22, 0xdb, 0x0f, 0x20, 0xd8});  // mov cr3, rbx; mov rax, cr3
    EXPECT_EQ(bench.gpr(k_rax), CpuHarness::k_tables | 5);
    SystemBench refused(CpuMode::long64);
    refused.state.cr3 |= 8;
    refused.state.gpr[k_rax] = refused.state.cr4 | k_cr4_pcide;
    EXPECT_EQ(refused.error_of(13, {0x0f, 0x22, 0xe0}), 0U) << "CR3[11:0] is not zero";
}

TEST_F(Paged, invpcid_refuses_unknown_types) {
    bench.write_value<uint64_t>(CpuHarness::k_data, 0);
    bench.write_value<uint64_t>(CpuHarness::k_data + 8, k_page);
    bench.state.gpr[k_rbx] = CpuHarness::k_data;
    bench.state.gpr[k_rcx] = 4;
    EXPECT_EQ(bench.error_of(13, {0x66, 0x0f, 0x38, 0x82, 0x0b}), 0U);
}

TEST_F(Paged, store_across_into_a_missing_page_writes_nothing) {
    bench.state.gpr[k_rdi] = k_page + 0xffc;
    bench.state.gpr[k_rax] = ~uint64_t{0};
    EXPECT_EQ(bench.error_of(14, k_store), 2U);
    EXPECT_EQ(bench.state.cr2, k_page + 0x1000);
    EXPECT_EQ(bench.read<uint32_t>(k_frame_a + 0xffc), 0U);
}

TEST_F(Paged, page_fault_while_delivering_page_fault_is_double_fault) {
    map(0);
    bench.set_gate(14, 0xe, 0, 1);
    bench.write_value<uint64_t>(SystemBench::k_tss_base + 0x24, k_page + 0x8000);  // IST1 on no page
    EXPECT_EQ(bench.error_of(8, k_load), 0U);
    EXPECT_EQ(bench.state.cr2, k_page + 0x8000 - 8);
}

TEST_F(Paged, addresses_without_memory_go_to_the_machine) {
    map(0x3000'0000 | k_p | k_w | k_u);
    bench.io.mmio[0x3000'0000] = 0x1234;
    bench.run(k_load);
    EXPECT_EQ(bench.gpr(k_rax), 0x1234U);
}

TEST_F(Paged, refused_access_without_a_throw_leaves_the_fault_in_the_core) {
    map(k_frame_a | k_p | k_u);
    bench.vcpu().load(bench.state);
    interp::Core& core = bench.core();
    const interp::Resolved refused = interp::try_resolve(core, k_page, interp::Access::write, interp::k_as_supervisor);
    EXPECT_TRUE(refused.faulted());
    EXPECT_EQ(refused.error_code, 3U);
    EXPECT_EQ(core.cr2, 0U) << "asking changes nothing";
    EXPECT_FALSE(interp::try_store(core, k_page + 8, 4, k_ds, 1));
    EXPECT_EQ(core.fault.vector, 14);
    EXPECT_EQ(core.fault.error_code, 3U);
    EXPECT_EQ(core.cr2, k_page + 8);
    uint64_t value = 0;
    EXPECT_TRUE(interp::try_load(core, k_page, 8, k_ds, value));
    EXPECT_EQ(value, 0xaaaaU);
    EXPECT_FALSE(interp::try_load(core, uint64_t{1} << 60, 8, k_ss, value)) << "not canonical";
    EXPECT_EQ(core.fault.vector, 12);
}

TEST_F(Paged, fault_taken_without_a_throw_enters_the_handler) {
    bench.vcpu().load(bench.state);
    interp::Core& core = bench.core();
    core.io = &bench.io;
    interp::take_fault(core, interp::page_fault(core, k_page, 2));
    EXPECT_EQ(core.rip, SystemBench::handler(14));
    EXPECT_EQ(core.cr2, k_page);
    EXPECT_EQ(bench.read<uint64_t>(core.gpr[k_rsp]), 2U);
}

}  // namespace
}  // namespace skep::test
