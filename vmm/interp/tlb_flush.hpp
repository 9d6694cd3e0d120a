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
// The inline entries that are parts of larger pages, within 1 << shift bytes around an address.
void drop_large_pages(Core& core, uint64_t linear, unsigned shift);
// A page fault drops what was known of its address (SDM 3A, 4.10.4.1).
void drop_faulting_page(Core& core, uint64_t linear);

}  // namespace skep::interp
