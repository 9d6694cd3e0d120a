// SPDX-License-Identifier: GPL-3.0-or-later
// What survives which flush: translations by PCID, global ones, large pages, tables; and the numbers of code contexts.
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "tests/vmm/interp/system_bench.hpp"
#include "vmm/interp/mmu.hpp"

namespace skep::test {
namespace {

using namespace x86;
using interp::Access;

constexpr uint64_t k_p = 1, k_w = 2, k_u = 4, k_large = 0x80, k_g = 0x100;
constexpr uint64_t k_no_flush = uint64_t{1} << 63;

// Two address spaces over the harness's RAM: the first GiB is common to both, the second has tables of 4 KiB pages.
class Spaces : public testing::Test {
  protected:
    static constexpr uint64_t k_page = 0x4000'0000, k_frames = 0x60'0000;
    struct Space {
        uint64_t root, directory, table;
    };
    static constexpr Space k_a{0x70'8000, 0x70'a000, 0x70'b000}, k_b{0x71'0000, 0x71'2000, 0x71'3000};

    Spaces() : bench(CpuMode::long64) {
        make(k_a);
        make(k_b);
        bench.state.cr3 = k_a.root;
        bench.state.cr4 |= k_cr4_pge;
        bench.vcpu().load(bench.state);
        core().io = &bench.io;
        interp::write_cr4(core(), core().cr4 | k_cr4_pcide);
    }
    void make(const Space& space) {
        bench.write_value<uint64_t>(space.root, (space.root + 0x1000) | 7);
        bench.write_value<uint64_t>(space.root + 0x1000, (CpuHarness::k_tables + 0x2000) | 7);
        bench.write_value<uint64_t>(space.root + 0x1008, space.directory | 7);
        bench.write_value<uint64_t>(space.directory, space.table | 7);
    }
    void map(const Space& space, unsigned page, unsigned frame, uint64_t flags = k_p | k_w | k_u) {
        bench.write_value<uint64_t>(space.table + page * 8, (k_frames + frame * k_page_size) | flags);
    }
    interp::Core& core() { return bench.core(); }
    void enter(const Space& space, unsigned pcid, uint64_t bit63 = k_no_flush) {
        interp::write_cr3(core(), space.root | pcid | bit63);
    }
    // The frame that a supervisor's access to this page of the second GiB meets; -1 for a fault.
    int frame(unsigned page, Access access = Access::read) { return frame_at(k_page + page * k_page_size, access); }
    int frame_at(uint64_t linear, Access access = Access::read) {
        const interp::TlbEntry& entry = core().tlb_sets[interp::k_as_supervisor][linear / k_page_size % interp::k_tlb_entries];
        const uint64_t tag = access == Access::write ? entry.write_tag : entry.read_tag;
        const std::byte* host = interp::host_of(entry, linear);
        if (access == Access::execute || tag != linear) {
            host = interp::try_resolve(core(), linear, access, interp::k_as_supervisor).host;
        }
        return host == nullptr ? -1 : static_cast<int>((host - bench.memory->ram_at(k_frames, k_page_size)) / 4096);
    }
    uint64_t context() { return core().code_context; }
    void forget_inline() { interp::flush_inline_tlb(core()); }

    SystemBench bench;
};

TEST_F(Spaces, switch_with_the_no_flush_bit_finds_the_old_translations_again) {
    map(k_a, 0, 1);
    map(k_b, 0, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2);
    EXPECT_EQ(frame(0), 2);
    map(k_a, 0, 3);  // unnoticed: nobody flushed
    map(k_b, 0, 3);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2);
    EXPECT_EQ(frame(0), 2);
}

TEST_F(Spaces, switch_without_the_no_flush_bit_drops_the_pcid_that_comes_and_no_other) {
    map(k_a, 0, 1);
    map(k_b, 0, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2);
    EXPECT_EQ(frame(0), 2);
    map(k_a, 0, 3);
    map(k_b, 0, 4);
    enter(k_a, 1, 0);
    EXPECT_EQ(frame(0), 3);
    enter(k_b, 2);
    EXPECT_EQ(frame(0), 2);
}

TEST_F(Spaces, global_translation_is_good_in_every_address_space_until_it_is_flushed) {
    map(k_a, 0, 1, k_p | k_w | k_g);
    map(k_b, 0, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2, 0);
    EXPECT_EQ(frame(0), 1) << "a write to CR3 leaves global ones";
    interp::flush_tlb_page(core(), k_page);
    EXPECT_EQ(frame(0), 2) << "INVLPG does not";
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
}

TEST_F(Spaces, invlpg_drops_one_page_of_one_address_space) {
    for (unsigned page = 0; page < 2; ++page) {
        map(k_a, page, 1);
        map(k_b, page, 2);
    }
    for (unsigned round = 0; round < 2; ++round) {
        enter(k_a, 1);
        EXPECT_EQ(frame(0) + frame(1), 2);
        enter(k_b, 2);
        EXPECT_EQ(frame(0) + frame(1), 4);
    }
    for (unsigned page = 0; page < 2; ++page) {
        map(k_a, page, 5);
        map(k_b, page, 6);
    }
    interp::flush_tlb_page(core(), k_page);
    EXPECT_EQ(frame(0), 6);
    EXPECT_EQ(frame(1), 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
}

TEST_F(Spaces, invpcid_types_drop_what_they_name) {
    const auto fill = [&](unsigned add) {
        map(k_a, 0, 1 + add);
        map(k_a, 1, 2 + add);
        map(k_a, 2, 3 + add, k_p | k_w | k_g);
        map(k_b, 0, 4 + add);
    };
    const auto look = [&] {
        enter(k_a, 1);
        const int a = frame(0) * 1000 + frame(1) * 100 + frame(2) * 10;
        enter(k_b, 2);
        return a + frame(0);
    };
    const auto begin = [&] {
        interp::flush_tlb(core());
        fill(0);
        EXPECT_EQ(look(), 1234);
        fill(4);
        EXPECT_EQ(look(), 1234);
    };
    begin();
    interp::flush_tlb_page(core(), k_page, 1);
    EXPECT_EQ(look(), 5234);
    begin();
    interp::flush_tlb_pcid(core(), 1);
    EXPECT_EQ(look(), 5634);
    begin();
    interp::flush_tlb_pcid(core(), 2);
    EXPECT_EQ(look(), 1238) << "the current one";
    begin();
    interp::flush_tlb_non_global(core());
    EXPECT_EQ(look(), 5638);
    begin();
    interp::flush_tlb(core());
    EXPECT_EQ(look(), 5678);
}

TEST_F(Spaces, clearing_pcide_or_toggling_pge_drops_everything) {
    map(k_a, 0, 1, k_p | k_w | k_g);
    enter(k_a, 0);
    EXPECT_EQ(frame(0), 1);
    map(k_a, 0, 2, k_p | k_w | k_g);
    interp::write_cr4(core(), core().cr4 & ~uint64_t{k_cr4_pge});
    EXPECT_EQ(frame(0), 2);
    map(k_a, 0, 3, k_p | k_w | k_g);
    enter(k_a, 0, 0);
    EXPECT_EQ(frame(0), 3) << "without CR4.PGE there are no global pages";
    enter(k_a, 9);
    EXPECT_EQ(frame(0), 3);
    map(k_a, 0, 4);
    interp::write_cr4(core(), core().cr4 & ~uint64_t{k_cr4_pcide});
    EXPECT_EQ(frame(0), 4);
}

TEST_F(Spaces, large_page_is_walked_once_and_flushed_whole) {
    bench.write_value<uint64_t>(k_a.directory + 8, k_frames | k_p | k_w | k_large);
    enter(k_a, 1);
    const uint64_t large = k_page + 0x20'0000;
    EXPECT_EQ(frame_at(large + 3 * k_page_size), 3);
    bench.write_value<uint64_t>(k_a.directory + 8, 0x40'0000 | k_p | k_w | k_large);
    EXPECT_EQ(frame_at(large + 7 * k_page_size), 7) << "the old translation covers it";
    EXPECT_EQ(frame_at(large + 511 * k_page_size), 511);
    interp::flush_tlb_page(core(), large + 0x12345);
    for (const unsigned page : {3U, 7U, 511U}) {
        EXPECT_EQ(frame_at(large + page * k_page_size), static_cast<int>(page) - 512) << page;
    }
}

TEST_F(Spaces, gigabyte_page_is_flushed_whole) {
    bench.write_value<uint64_t>(k_a.root + 0x1010, 0 | k_p | k_w | k_large);
    enter(k_a, 1);
    const uint64_t huge = 0x8000'0000;
    EXPECT_EQ(frame_at(huge + k_frames), 0);
    EXPECT_EQ(frame_at(huge + 0x20'0000), (0x20'0000 - static_cast<int>(k_frames)) / 4096);
    bench.write_value<uint64_t>(k_a.root + 0x1010, 0);
    EXPECT_EQ(frame_at(huge + k_frames + 0x1000), 1) << "not flushed yet";
    interp::flush_tlb_page(core(), huge + 0x3000'0000);
    EXPECT_EQ(frame_at(huge + k_frames), -1);
    EXPECT_EQ(frame_at(huge + 0x20'0000), -1);
}

TEST_F(Spaces, many_large_pages_stay_exact_when_they_displace_each_other) {
    // 1024 pieces fit; 512 directory entries in each of four directories, all of them the same 2 MiB.
    for (uint64_t entry = 0; entry < 512; ++entry) {
        bench.write_value<uint64_t>(k_a.directory + entry * 8, k_frames | k_p | k_w | k_large);
    }
    for (uint64_t gigabyte = 1; gigabyte < 5; ++gigabyte) {
        bench.write_value<uint64_t>(k_a.root + 0x1000 + gigabyte * 8, k_a.directory | 7);
    }
    enter(k_a, 1);
    const auto address = [](uint64_t n) { return k_page + n * 0x20'0000 + (n % 512) * k_page_size; };
    for (uint64_t n = 0; n < 2048; ++n) {
        ASSERT_EQ(frame_at(address(n)), static_cast<int>(n % 512));
    }
    for (uint64_t entry = 0; entry < 512; ++entry) {
        bench.write_value<uint64_t>(k_a.directory + entry * 8, 0);
    }
    for (uint64_t n = 0; n < 2048; ++n) {
        interp::flush_tlb_page(core(), address(n) ^ 0x1000);
        ASSERT_EQ(frame_at(address(n)), -1) << n;
    }
}

TEST_F(Spaces, tables_are_remembered_until_invlpg_of_any_page) {
    map(k_a, 0, 1);
    map(k_a, 1, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    bench.write_value<uint64_t>(k_a.directory, k_b.table | 7);
    map(k_b, 1, 9);
    EXPECT_EQ(frame(1), 2) << "by the table it knows";
    interp::flush_tlb_page(core(), 0x7fff'f000);
    interp::flush_tlb_page(core(), k_page + k_page_size);
    EXPECT_EQ(frame(1), 9);
}

TEST_F(Spaces, outdated_table_never_makes_a_fault) {
    map(k_a, 0, 1);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    bench.write_value<uint64_t>(k_a.directory, k_b.table | 7);
    map(k_b, 1, 9);
    EXPECT_EQ(frame(1), 9) << "the table it knows has no such page";
}

TEST_F(Spaces, raised_rights_need_no_flush_and_a_fault_drops_the_page) {
    map(k_a, 0, 1, k_p);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    EXPECT_EQ(frame(0, Access::write), -1);
    map(k_a, 0, 2, k_p);
    EXPECT_EQ(frame(0), 2) << "the fault dropped what was known";
    map(k_a, 0, 2, k_p | k_w);
    EXPECT_EQ(frame(0, Access::write), 2);
    EXPECT_EQ(bench.read<uint64_t>(k_a.table) & 0x60, 0x60U);
}

TEST_F(Spaces, write_through_a_clean_translation_sets_the_dirty_bit) {
    map(k_a, 0, 1);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    enter(k_b, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0, Access::write), 1);
    EXPECT_EQ(bench.read<uint64_t>(k_a.table) & 0x40, 0x40U);
}

TEST_F(Spaces, rules_of_access_hold_for_known_translations) {
    map(k_a, 0, 1);
    enter(k_a, 1);
    const auto allowed = [&](Access access, interp::AccessRule rule) {
        return !interp::try_resolve(core(), k_page, access, rule).faulted();
    };
    EXPECT_TRUE(allowed(Access::write, interp::k_as_user));
    EXPECT_TRUE(allowed(Access::execute, interp::k_as_supervisor));
    interp::write_cr4(core(), core().cr4 | k_cr4_smap | k_cr4_smep);
    EXPECT_FALSE(allowed(Access::read, interp::k_as_supervisor));
    EXPECT_TRUE(allowed(Access::read, interp::k_as_supervisor_ac));
    EXPECT_FALSE(allowed(Access::execute, interp::k_as_supervisor));
    EXPECT_TRUE(allowed(Access::execute, interp::k_as_user));
    map(k_a, 1, 2, k_p);
    EXPECT_EQ(frame(1), 2);
    EXPECT_EQ(frame(1, Access::write), -1);
    interp::write_cr0(core(), core().cr0 & ~uint64_t{k_cr0_wp});
    EXPECT_EQ(frame(1, Access::write), 2);
    interp::write_cr0(core(), core().cr0 | k_cr0_wp);
    EXPECT_EQ(frame(1, Access::write), -1);
}

TEST_F(Spaces, more_pcids_than_are_kept_never_show_anothers_pages) {
    std::mt19937 random(1);
    std::array<int, 100> of_pcid{};
    for (unsigned pcid = 0; pcid < of_pcid.size(); ++pcid) {
        of_pcid[pcid] = -1;
    }
    for (int round = 0; round < 3000; ++round) {
        const unsigned pcid = random() % of_pcid.size();
        const int wanted = static_cast<int>(random() % 200);
        const bool flush = of_pcid[pcid] == -1 || random() % 4 == 0;
        map(k_a, 0, static_cast<unsigned>(wanted));
        enter(k_a, pcid, flush ? 0 : k_no_flush);
        const int found = frame(0);
        ASSERT_TRUE(found == wanted || (!flush && found == of_pcid[pcid])) << found << " in round " << round;
        of_pcid[pcid] = found;
    }
}

// Three processors use the same entries while software changes a bit of its own in them.
TEST(AccessedDirty, several_processors_lose_no_bit) {
    constexpr unsigned k_cpus = 3, k_pages = 64, k_flips = 501;
    constexpr uint64_t k_software_bit = 0x200, k_page = 0x4000'0000, k_table = 0x71'0000;
    CpuHarness bench(CpuMode::long64, k_cpus);
    bench.write_value<uint64_t>(CpuHarness::k_tables + 0x1008, 0x71'1007);
    bench.write_value<uint64_t>(0x71'1000, k_table | 7);
    for (unsigned page = 0; page < k_pages; ++page) {
        bench.write_value<uint64_t>(k_table + page * 8, 0x60'0000 | page << 12 | 7);
    }
    for (unsigned cpu = 0; cpu < k_cpus; ++cpu) {
        bench.vcpu(cpu).load(bench.state);
    }
    std::atomic<unsigned> working{k_cpus};
    std::vector<std::thread> threads;
    for (unsigned cpu = 0; cpu < k_cpus; ++cpu) {
        threads.emplace_back([&, cpu] {
            for (unsigned i = 0; i < k_pages; ++i) {
                const uint64_t linear = k_page + (i * 7 + cpu) % k_pages * k_page_size;
                const Access access = i % 2 == 0 ? Access::read : Access::write;
                EXPECT_FALSE(interp::try_resolve(bench.core(cpu), linear, access, interp::k_as_supervisor).faulted());
            }
            working.fetch_sub(1);
        });
    }
    auto* entries = reinterpret_cast<uint64_t*>(bench.memory->ram_at(k_table, k_page_size));
    unsigned flips = 0;
    for (; flips < k_flips || working.load() != 0; ++flips) {
        for (unsigned page = 0; page < k_pages; ++page) {
            std::atomic_ref<uint64_t>(entries[page]).fetch_xor(k_software_bit);
        }
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (unsigned page = 0; page < k_pages; ++page) {
        const uint64_t entry = std::atomic_ref<uint64_t>(entries[page]).load();
        EXPECT_EQ(entry & ~uint64_t{0x40}, 0x60'0000U | page << 12 | 0x27 | (flips % 2 != 0 ? k_software_bit : 0));
    }
    EXPECT_EQ(std::atomic_ref<uint64_t>(entries[7]).load() & 0x40, 0x40U) << "written by the first processor";
}

// --- code contexts -------------------------------------------------------------------------------------------------------
TEST_F(Spaces, code_context_comes_back_with_its_address_space) {
    map(k_a, 0, 1);
    map(k_b, 0, 2);
    enter(k_a, 1);
    EXPECT_EQ(frame(0, Access::execute), 1);
    const uint64_t a = context();
    enter(k_b, 2);
    EXPECT_EQ(frame(0, Access::execute), 2);
    const uint64_t b = context();
    EXPECT_NE(a, b);
    enter(k_a, 1);
    EXPECT_EQ(context(), a);
    EXPECT_EQ(frame(0, Access::execute), 1);
    enter(k_b, 2);
    EXPECT_EQ(context(), b);
    enter(k_a, 1, 0);
    EXPECT_NE(context(), a) << "flushed";
}

TEST_F(Spaces, supervisor_on_global_pages_has_one_context_everywhere) {
    map(k_a, 0, 1, k_p | k_w | k_g);
    enter(k_a, 1);
    EXPECT_EQ(frame(0, Access::execute), 1);
    const uint64_t common = context();
    enter(k_b, 2);
    EXPECT_EQ(context(), common);
    enter(k_b, 3, 0);
    EXPECT_EQ(context(), common);
    map(k_b, 1, 4);
    EXPECT_EQ(frame(1, Access::execute), 4);
    EXPECT_NE(context(), common) << "a page of its own";
    enter(k_a, 1, 0);
    EXPECT_EQ(context(), common);
    enter(k_b, 3, 0);
    EXPECT_EQ(context(), common) << "flushed, so nothing of its own is left";
    interp::flush_tlb_page(core(), k_page);
    EXPECT_NE(context(), common) << "the global page itself";
}

TEST_F(Spaces, invlpg_changes_the_context_only_for_pages_that_were_executed) {
    map(k_a, 0, 1);
    map(k_a, 1, 2);
    bench.write_value<uint64_t>(k_a.directory + 8, k_frames | k_p | k_w | k_large);
    enter(k_a, 1);
    EXPECT_EQ(frame(0, Access::execute), 1);
    EXPECT_EQ(frame(1), 2);
    const uint64_t before = context();
    interp::flush_tlb_page(core(), k_page + k_page_size);
    EXPECT_EQ(context(), before);
    EXPECT_EQ(frame_at(k_page + 0x20'0000, Access::execute), 0);
    EXPECT_EQ(context(), before);
    interp::flush_tlb_page(core(), k_page + 0x3f'f000);
    EXPECT_NE(context(), before) << "another part of a large page that was executed";
    EXPECT_EQ(frame(0, Access::execute), 1);
    const uint64_t after = context();
    EXPECT_NE(after, before);
    interp::flush_tlb_page(core(), k_page);
    EXPECT_NE(context(), after);
}

TEST_F(Spaces, numbers_begin_again_when_all_were_used_and_nothing_is_left_of_the_old_ones) {
    map(k_a, 0, 1);
    enter(k_a, 1);
    const uint64_t rounds = core().contexts.rounds();
    core().jump_cache[5] = {.rip = 5, .context = 1};
    for (unsigned i = 0; i < interp::CodeContexts::k_numbers; ++i) {
        EXPECT_EQ(frame(0, Access::execute), 1);
        enter(k_a, 1, 0);
        ASSERT_GT(context(), 0U);
        ASSERT_LT(context(), interp::CodeContexts::k_numbers);
    }
    EXPECT_EQ(core().contexts.rounds(), rounds + 1);
    EXPECT_NE(core().jump_cache[5].rip, 5U);
}

TEST_F(Spaces, tags_begin_again_when_all_were_used) {
    map(k_a, 0, 1);
    enter(k_a, 1);
    EXPECT_EQ(frame(0), 1);
    map(k_a, 0, 2);
    while (!core().spaces.tags_ran_out()) {
        core().spaces.renew_structures(core().spaces.current());
    }
    enter(k_a, 1, 0);
    EXPECT_EQ(frame(0), 2);
    EXPECT_FALSE(core().spaces.tags_ran_out());
}

}  // namespace

// The same offset in two code segments is other code.
TEST(CodeContext, far_jump_to_the_same_ip_of_another_segment_runs_that_code) {
    CpuHarness bench(CpuMode::real16);
    bench.write(0x2'0100, {0xb0, 0x11, 0xea, 0x00, 0x01, 0x00, 0x30});  // mov al,11h; jmp 3000:0100
    bench.write(0x3'0100, {0xb4, 0x22, 0xf4});                          // mov ah,22h; hlt
    bench.run({0xea, 0x00, 0x01, 0x00, 0x20});                          // jmp 2000:0100
    EXPECT_EQ(bench.gpr(k_rax) & 0xffff, 0x2211U);
}

}  // namespace skep::test
