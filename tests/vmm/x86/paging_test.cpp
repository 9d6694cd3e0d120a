// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/paging.hpp"

#include <gtest/gtest.h>

#include <map>

#include "vmm/x86/registers.hpp"

namespace skep::x86 {
namespace {

// Table entries by physical address; an entry can be made to change under the walker.
struct FakeTables {
    std::map<uint64_t, uint64_t> entries;
    unsigned exchanges = 0;
    unsigned refusals = 0;  // how many exchanges fail before one works

    template <typename Entry>
    uint64_t load(uint64_t physical) {
        return static_cast<Entry>(entries[physical]);
    }
    template <typename Entry>
    bool exchange(uint64_t physical, uint64_t expected, uint64_t wanted) {
        ++exchanges;
        if (refusals != 0) {
            --refusals;
            return false;
        }
        EXPECT_EQ(entries[physical], expected);
        entries[physical] = wanted;
        return true;
    }
};

constexpr uint64_t k_linear = 0x0000'7f12'3456'7abc;
constexpr uint64_t k_p = 1, k_w = 2, k_u = 4, k_a = 0x20, k_d = 0x40, k_ps = 0x80, k_g = 0x100;

class FourLevel : public testing::Test {
  protected:
    FourLevel() {
        controls = paging_controls(k_cr0_pg | k_cr0_wp | k_cr0_pe, 0x1000, k_cr4_pae, k_efer_lma | k_efer_nxe);
        set(39, 0x1000, 0x2000 | k_p | k_w | k_u);
        set(30, 0x2000, 0x3000 | k_p | k_w | k_u);
        set(21, 0x3000, 0x4000 | k_p | k_w | k_u);
        set(12, 0x4000, 0x1'2345'6000 | k_p | k_w | k_u);
    }
    static uint64_t address(unsigned shift, uint64_t table) { return table + bits(k_linear, shift, 9) * 8; }
    void set(unsigned shift, uint64_t table, uint64_t entry) { tables.entries[address(shift, table)] = entry; }
    uint64_t& entry(unsigned shift, uint64_t table) { return tables.entries[address(shift, table)]; }
    Translation go(PageUse use, Requester requester = Requester::supervisor) {
        return walk(controls, tables, k_linear, use, requester);
    }
    uint32_t error(PageUse use, Requester requester = Requester::supervisor) {
        const Translation found = go(use, requester);
        EXPECT_FALSE(found.allowed);
        return found.error_code;
    }

    PagingControls controls;
    FakeTables tables;
};

TEST_F(FourLevel, read_of_small_page_translates_and_sets_accessed_in_every_level) {
    const Translation found = go(PageUse::read);
    ASSERT_TRUE(found.allowed);
    EXPECT_EQ(found.physical, 0x1'2345'6abcU);
    EXPECT_EQ(found.page_shift, 12);
    EXPECT_FALSE(found.writable) << "not dirty yet";
    EXPECT_TRUE(entry(39, 0x1000) & k_a);
    EXPECT_TRUE(entry(30, 0x2000) & k_a);
    EXPECT_TRUE(entry(21, 0x3000) & k_a);
    EXPECT_EQ(entry(12, 0x4000) & (k_a | k_d), k_a);
}

TEST_F(FourLevel, write_sets_dirty_in_leaf_only) {
    const Translation found = go(PageUse::write);
    ASSERT_TRUE(found.allowed);
    EXPECT_TRUE(found.writable);
    EXPECT_EQ(entry(12, 0x4000) & (k_a | k_d), k_a | k_d);
    EXPECT_FALSE(entry(21, 0x3000) & k_d);
}

TEST_F(FourLevel, second_walk_writes_nothing) {
    go(PageUse::write);
    const unsigned before = tables.exchanges;
    go(PageUse::write);
    EXPECT_EQ(tables.exchanges, before);
}

TEST_F(FourLevel, entry_changed_meanwhile_walks_again) {
    tables.refusals = 3;
    EXPECT_TRUE(go(PageUse::write).writable);
    EXPECT_TRUE(entry(12, 0x4000) & k_d);
}

TEST_F(FourLevel, entry_that_always_changes_ends_without_dirty) {
    tables.refusals = ~0U;
    const Translation found = go(PageUse::write);
    EXPECT_TRUE(found.allowed);
    EXPECT_FALSE(found.writable);
}

TEST_F(FourLevel, not_present_at_any_level_has_clear_p) {
    for (const auto& [shift, table] : {std::pair{39U, 0x1000U}, {30U, 0x2000U}, {21U, 0x3000U}, {12U, 0x4000U}}) {
        const uint64_t old = entry(shift, table);
        entry(shift, table) = old & ~k_p;
        EXPECT_EQ(error(PageUse::read), 0U);
        EXPECT_EQ(error(PageUse::write, Requester::user), k_pf_write | k_pf_user);
        EXPECT_EQ(error(PageUse::execute, Requester::user), k_pf_fetch | k_pf_user);
        entry(shift, table) = old;
    }
}

TEST_F(FourLevel, faulting_walk_sets_no_bits) {
    entry(12, 0x4000) &= ~k_u;
    EXPECT_EQ(error(PageUse::read, Requester::user), k_pf_present | k_pf_user);
    EXPECT_EQ(tables.exchanges, 0U);
}

TEST_F(FourLevel, user_bit_is_needed_in_every_level) {
    entry(30, 0x2000) &= ~k_u;
    EXPECT_EQ(error(PageUse::write, Requester::user), k_pf_present | k_pf_write | k_pf_user);
    EXPECT_TRUE(go(PageUse::write).allowed);
}

TEST_F(FourLevel, read_only_page_obeys_wp_for_supervisor_and_always_for_user) {
    entry(21, 0x3000) &= ~k_w;
    EXPECT_EQ(error(PageUse::write), k_pf_present | k_pf_write);
    controls.write_protect = false;
    EXPECT_TRUE(go(PageUse::write).writable);
    EXPECT_EQ(error(PageUse::write, Requester::user), k_pf_present | k_pf_write | k_pf_user);
}

TEST_F(FourLevel, no_execute_in_any_level_stops_fetches_only) {
    entry(39, 0x1000) |= paging::k_nx;
    EXPECT_EQ(error(PageUse::execute), k_pf_present | k_pf_fetch);
    EXPECT_TRUE(go(PageUse::read).allowed);
}

TEST_F(FourLevel, no_execute_without_nxe_is_reserved_and_error_has_no_fetch_bit) {
    controls.no_execute = false;
    entry(12, 0x4000) |= paging::k_nx;
    EXPECT_EQ(error(PageUse::read), k_pf_present | k_pf_reserved);
    EXPECT_EQ(error(PageUse::execute, Requester::user), k_pf_present | k_pf_reserved | k_pf_user);
}

TEST_F(FourLevel, address_bits_beyond_maxphyaddr_are_reserved_but_52_to_62_are_free) {
    entry(12, 0x4000) |= bit(51);
    EXPECT_EQ(error(PageUse::write), k_pf_present | k_pf_reserved | k_pf_write);
    entry(12, 0x4000) = (entry(12, 0x4000) & ~bit(51)) | bit(52) | bit(62);
    EXPECT_TRUE(go(PageUse::write).allowed);
}

TEST_F(FourLevel, page_size_bit_in_pml4e_is_reserved) {
    entry(39, 0x1000) |= k_ps;
    EXPECT_EQ(error(PageUse::read), k_pf_present | k_pf_reserved);
}

TEST_F(FourLevel, large_pages_translate_and_have_reserved_address_bits) {
    entry(21, 0x3000) = 0x1'8000'0000 | k_p | k_ps | k_g;
    Translation found = go(PageUse::read);
    EXPECT_EQ(found.physical, 0x1'8000'0000 | (k_linear & 0x1f'ffff));
    EXPECT_EQ(found.page_shift, 21);
    EXPECT_TRUE(found.global);
    entry(21, 0x3000) |= bit(13);
    EXPECT_EQ(error(PageUse::read), k_pf_present | k_pf_reserved);
    entry(30, 0x2000) = 0x40'4000'0000 | k_p | k_ps;
    found = go(PageUse::read);
    EXPECT_EQ(found.physical, 0x40'4000'0000 | (k_linear & 0x3fff'ffff));
    EXPECT_EQ(found.page_shift, 30);
    entry(30, 0x2000) |= bit(29);
    EXPECT_EQ(error(PageUse::read), k_pf_present | k_pf_reserved);
}

TEST_F(FourLevel, pat_bit_of_large_page_is_no_address) {
    entry(21, 0x3000) = 0x1'8000'0000 | k_p | k_ps | bit(12);
    EXPECT_EQ(go(PageUse::read).physical, 0x1'8000'0000 | (k_linear & 0x1f'ffff));
}

TEST_F(FourLevel, smep_stops_supervisor_fetch_from_user_page) {
    controls.smep = true;
    EXPECT_EQ(error(PageUse::execute), k_pf_present | k_pf_fetch);
    EXPECT_TRUE(go(PageUse::execute, Requester::user).allowed);
    entry(12, 0x4000) &= ~k_u;
    EXPECT_TRUE(go(PageUse::execute).allowed);
}

TEST_F(FourLevel, smap_stops_supervisor_data_unless_lifted) {
    controls.smap = true;
    EXPECT_EQ(error(PageUse::read), k_pf_present);
    EXPECT_EQ(error(PageUse::write), k_pf_present | k_pf_write);
    EXPECT_TRUE(go(PageUse::write, Requester::supervisor_smap_lifted).allowed);
    const Translation fetched = go(PageUse::execute);
    EXPECT_TRUE(fetched.allowed);
    EXPECT_FALSE(fetched.readable) << "a fetch does not make the page readable";
}

TEST(Paging, none_is_identity_in_32_bits) {
    FakeTables tables;
    const Translation found = walk({}, tables, 0x1'2345'6789, PageUse::write, Requester::user);
    EXPECT_TRUE(found.allowed && found.writable);
    EXPECT_EQ(found.physical, 0x2345'6789U);
}

TEST(Paging, pae_takes_no_rights_from_pdpte_and_reserves_bits_52_to_62) {
    FakeTables tables;
    PagingControls controls = paging_controls(k_cr0_pg | k_cr0_wp, 0, k_cr4_pae, k_efer_nxe);
    ASSERT_EQ(controls.mode, PagingMode::pae);
    controls.pdpte[3] = 0x5000 | k_p;
    const uint64_t linear = 0xc040'2123;
    tables.entries[0x5000 + bits(linear, 21, 9) * 8] = 0x6000 | k_p | k_w | k_u;
    uint64_t& leaf = tables.entries[0x6000 + bits(linear, 12, 9) * 8];
    leaf = 0x12'3456'7000 | k_p | k_w | k_u;
    EXPECT_EQ(walk(controls, tables, linear, PageUse::write, Requester::user).physical, 0x12'3456'7123U);
    leaf |= bit(52);
    EXPECT_EQ(walk(controls, tables, linear, PageUse::read, Requester::user).error_code,
              k_pf_present | k_pf_reserved | k_pf_user);
    EXPECT_EQ(walk(controls, tables, 0x1000, PageUse::read, Requester::supervisor).error_code, 0U);
}

TEST(Paging, pdpte_reserved_bits_count_only_when_present) {
    EXPECT_TRUE(pdpte_is_valid(0x1000 | k_p | bit(3) | bit(4) | bit(9)));
    EXPECT_TRUE(pdpte_is_valid(bit(1)));
    EXPECT_FALSE(pdpte_is_valid(k_p | bit(1)));
    EXPECT_FALSE(pdpte_is_valid(k_p | bit(5)));
    EXPECT_FALSE(pdpte_is_valid(k_p | bit(63)));
}

class Legacy32 : public testing::Test {
  protected:
    Legacy32() {
        controls = paging_controls(k_cr0_pg, 0x1000, k_cr4_pse, k_efer_nxe);
        tables.entries[0x1000 + (k_linear >> 22) * 4] = 0x2000 | k_p | k_w | k_u;
        tables.entries[0x2000 + bits(k_linear, 12, 10) * 4] = 0xabcd'e000 | k_p | k_w | k_u;
    }
    static constexpr uint64_t k_linear = 0x8765'4321;
    uint64_t& directory_entry() { return tables.entries[0x1000 + (k_linear >> 22) * 4]; }
    PagingControls controls;
    FakeTables tables;
};

TEST_F(Legacy32, small_page_translates) {
    EXPECT_EQ(walk(controls, tables, k_linear, PageUse::write, Requester::user).physical, 0xabcd'e321U);
}

TEST_F(Legacy32, large_page_has_address_bits_32_to_39_in_13_to_20) {
    directory_entry() = 0x1040'0000 | k_p | k_ps | 0x5a << 13;
    const Translation found = walk(controls, tables, k_linear, PageUse::read, Requester::supervisor);
    EXPECT_EQ(found.physical, 0x5a'1040'0000 | (k_linear & 0x3f'ffff));
    EXPECT_EQ(found.page_shift, 22);
    directory_entry() |= bit(21);
    EXPECT_EQ(walk(controls, tables, k_linear, PageUse::read, Requester::supervisor).error_code,
              k_pf_present | k_pf_reserved);
}

TEST_F(Legacy32, page_size_bit_without_pse_is_ignored) {
    directory_entry() |= k_ps;
    controls.page_size_extension = false;
    EXPECT_EQ(walk(controls, tables, k_linear, PageUse::read, Requester::user).physical, 0xabcd'e321U);
}

TEST_F(Legacy32, fetch_bit_of_error_code_needs_smep) {
    directory_entry() = 0;
    EXPECT_EQ(walk(controls, tables, k_linear, PageUse::execute, Requester::user).error_code, k_pf_user);
    controls.smep = true;
    EXPECT_EQ(walk(controls, tables, k_linear, PageUse::execute, Requester::user).error_code, k_pf_user | k_pf_fetch);
}

}  // namespace
}  // namespace skep::x86
