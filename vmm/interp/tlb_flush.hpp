// SPDX-License-Identifier: GPL-3.0-or-later
// Between mmu.cpp and tlb_flush.cpp: the bookkeeping of the inline TLB.
#pragma once

#include "vmm/base/bits.hpp"
#include "vmm/interp/core.hpp"

namespace skep::interp {

inline void note_use(TlbUse& use, unsigned index, bool global, bool large) {
    const uint64_t mask = bit(index % 64);
    const auto put = [&](TlbUse::Bits& bits, bool set) {
        bits[index / 64] = (bits[index / 64] & ~mask) | (set ? mask : 0);
    };
    put(use.used, true);
    put(use.global, global);
    put(use.large, large);
}
// The page that an entry is of, or its empty_tag().
inline uint64_t page_of(const TlbEntry& entry, unsigned index) {
    return entry.read_tag != empty_tag(index) ? entry.read_tag : entry.write_tag;
}
// Makes room for `page` in entry `index`: another page moves to the place behind, where `page` itself is no longer.
inline void make_room(TlbSet& set, TlbUse& use, unsigned index, uint64_t page) {
    const unsigned behind = index + k_tlb_entries;
    const uint64_t mask = bit(index % 64);
    const uint64_t there = page_of(set[index], index);
    if (there == page) {
        return;
    }
    const auto move_bit = [&](TlbUse::Bits& bits) {
        bits[behind / 64] = (bits[behind / 64] & ~mask) | (bits[index / 64] & mask);
    };
    if (there != empty_tag(index)) {
        const auto tag = [&](uint64_t old) { return old == there ? there : empty_tag(behind); };
        set[behind] = {.read_tag = tag(set[index].read_tag),
                       .write_tag = tag(set[index].write_tag),
                       .host_page = set[index].host_page};
        use.written[behind] = use.written[index];
        move_bit(use.used);
        move_bit(use.global);
        move_bit(use.large);
    } else if (page_of(set[behind], behind) == page) {
        set[behind].read_tag = set[behind].write_tag = empty_tag(behind);
        use.used[behind / 64] &= ~mask;
        use.large[behind / 64] &= ~mask;
    }
}
// The inline entries that are parts of larger pages, within 1 << shift bytes around an address.
void drop_large_pages(Core& core, uint64_t linear, unsigned shift);
// A page fault drops what was known of its address (SDM 3A, 4.10.4.1).
void drop_faulting_page(Core& core, uint64_t linear);

}  // namespace skep::interp
