// SPDX-License-Identifier: GPL-3.0-or-later
// The address spaces a processor knows: one for each PCID lately used (SDM 3A, 4.10.1). Each has tags, under which its
// translations are kept, and views: what its code addresses mean. To flush is to take a new tag; nothing is searched.
//
// A view is a promise: every page that was executed under it is still translated as it was then. So a view outlives a
// flush of pages that were never executed, and comes back with its address space. Supervisor code that ran on global pages
// only has one view in all address spaces.
#pragma once

#include <array>
#include <cstdint>

namespace skep::interp {

// Of which pages code was fetched. It may say yes for a page that was not; never no for one that was.
class ExecutedPages {
  public:
    // shift: of the page that the guest mapped, however small the part of it that is meant.
    void insert(uint64_t linear, unsigned shift);
    // Is there an executed page, of any size, around this address?
    [[nodiscard]] bool may_contain(uint64_t linear) const;
    [[nodiscard]] bool empty() const { return m_shifts == 0; }
    void clear();

  private:
    static constexpr unsigned k_bits = 1 << 16;

    std::array<uint64_t, k_bits / 64> m_bits{};
    std::array<uint64_t, k_bits / 64 / 64> m_words{};  // which of these are not zero
    uint64_t m_shifts = 0;  // bit n: pages of 1 << n bytes were inserted
};

using View = uint64_t;  // never used twice; 0: none

struct AddressSpace {
    uint16_t pcid = 0;
    uint32_t tag = 0;             // of its translations
    uint32_t structures_tag = 0;  // of its entries in the paging-structure cache
    View user_view = 0;
    View supervisor_view = 0;     // 0: as long as it executed no page of its own at CPL 0-2, the common one is good
    ExecutedPages executed;       // not the global ones
};

class AddressSpaces {
  public:
    static constexpr unsigned k_most = 32;
    static constexpr unsigned k_tag_bits = 28;

    AddressSpaces() { forget_everything(); }

    [[nodiscard]] AddressSpace& current() { return m_spaces[m_current]; }
    [[nodiscard]] const AddressSpace& current() const { return m_spaces[m_current]; }
    // The one of this PCID, if anything of it is known.
    [[nodiscard]] AddressSpace* find(uint16_t pcid);
    // Makes it the current one; the one that was longest away may be forgotten for it.
    void enter(uint16_t pcid);

    // --- flushes -------------------------------------------------------------------------------------------------------
    // All that is not global of one address space, or of all.
    void renew(AddressSpace& space);
    void renew_all();
    // The tables of one address space; its translations stay.
    void renew_structures(AddressSpace& space) { space.structures_tag = fresh_tag(); }
    // Global translations as well. All but the current address space is forgotten.
    void forget_everything();
    // After a translation of this address space was dropped. Reach::global: or a global one.
    enum class Reach : uint8_t { own, global };
    void page_dropped(AddressSpace& space, uint64_t linear, Reach reach);

    // --- tags ----------------------------------------------------------------------------------------------------------
    [[nodiscard]] uint32_t global_tag() const { return m_global_tag; }
    // More tags were used than there are: whoever keeps things by tag must drop everything, then call restart_tags().
    [[nodiscard]] bool tags_ran_out() const { return m_last_tag >= (1U << k_tag_bits) - k_spare_tags; }
    void restart_tags();

    // --- views ---------------------------------------------------------------------------------------------------------
    enum class Privilege : uint8_t { user, supervisor };
    [[nodiscard]] View view(Privilege privilege);
    [[nodiscard]] View global_view() const { return m_global_view; }
    // Code was fetched from this page in the current address space. May change view(). Returns the view under which that
    // is known from now on.
    View page_executed(uint64_t linear, unsigned shift, Privilege privilege, Reach reach);

  private:
    static constexpr unsigned k_pcids = 4096;
    static constexpr uint8_t k_none = 0xff;
    static constexpr uint32_t k_spare_tags = 256;  // what one flush takes at most

    uint32_t fresh_tag() { return ++m_last_tag; }
    View fresh_view() { return ++m_last_view; }
    void forget_views(AddressSpace& space);
    void forget_all_views();

    std::array<AddressSpace, k_most> m_spaces;
    std::array<uint64_t, k_most> m_entered{};   // when, by m_entries
    std::array<uint8_t, k_pcids> m_slots{};     // of each PCID, or k_none
    unsigned m_count = 0;
    unsigned m_current = 0;
    uint64_t m_entries = 0;
    uint32_t m_last_tag = 0, m_global_tag = 0;
    View m_last_view = 0, m_global_view = 0;
    ExecutedPages m_global_executed;
};

}  // namespace skep::interp
