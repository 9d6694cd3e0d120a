// SPDX-License-Identifier: GPL-3.0-or-later
// What drops translations, and how much (SDM 3A, 4.10.4). The inline TLB knows only pages of the current address space and
// global ones; parts of large pages only while the second-level TLB knows the whole.
#include "vmm/interp/tlb_flush.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {
namespace {

constexpr unsigned word_of(unsigned index) { return index / 64; }
constexpr uint64_t bit_of(unsigned index) { return bit(index % 64); }

// Calls with the index of every set bit.
template <typename Use>
void for_each_bit(unsigned word, uint64_t which, Use use) {
    for (; which != 0; which &= which - 1) {
        use(word * 64 + static_cast<unsigned>(std::countr_zero(which)));
    }
}

void drop(Core& core, unsigned rule, unsigned index) {
    core.tlb_sets[rule][index].read_tag = core.tlb_sets[rule][index].write_tag = empty_tag(index);
    core.tlb_use[rule].used[word_of(index)] &= ~bit_of(index);
    core.tlb_use[rule].large[word_of(index)] &= ~bit_of(index);
}

enum class Which : uint8_t { all, not_global };

void drop_inline(Core& core, Which which) {
    for (unsigned rule = 0; rule < k_access_rules; ++rule) {
        const TlbUse& use = core.tlb_use[rule];
        for (unsigned word = 0; word < use.used.size(); ++word) {
            const uint64_t kept = which == Which::all ? 0 : use.global[word];
            for_each_bit(word, use.used[word] & ~kept, [&](unsigned index) { drop(core, rule, index); });
        }
    }
}

void drop_inline_page(Core& core, uint64_t linear) {
    const auto first = static_cast<unsigned>((linear / k_page_size) % k_tlb_entries);
    for (unsigned rule = 0; rule < k_access_rules; ++rule) {
        for (const unsigned index : {first, first + k_tlb_entries}) {
            if (page_of(core.tlb_sets[rule][index], index) == (linear & ~k_page_mask)) {
                drop(core, rule, index);
            }
        }
    }
}

uint16_t current_pcid(const Core& core) {
    return (core.cr4 & x86::k_cr4_pcide) != 0 ? static_cast<uint16_t>(core.cr3 & 0xfff) : uint16_t{0};
}

// After any flush.
void finish(Core& core) {
    if (core.spaces.tags_ran_out()) [[unlikely]] {
        drop_inline(core, Which::all);
        core.second_tlb.clear();
        core.spaces.restart_tags();
    }
    refresh_code_context(core);
}

// The page around an address, of the current address space or global, whatever its size.
void drop_page(Core& core, uint64_t linear) {
    AddressSpace& space = core.spaces.current();
    drop_inline_page(core, linear);
    const bool own = core.second_tlb.drop(linear, space.tag);
    const bool global = core.second_tlb.drop(linear, core.spaces.global_tag());
    if (own || global) {
        drop_large_pages(core, linear, 30);
    }
    core.spaces.page_dropped(space, linear, AddressSpaces::Reach::global);
}

}  // namespace

void drop_large_pages(Core& core, uint64_t linear, unsigned shift) {
    for (unsigned rule = 0; rule < k_access_rules; ++rule) {
        for (unsigned word = 0; word < core.tlb_use[rule].large.size(); ++word) {
            for_each_bit(word, core.tlb_use[rule].large[word], [&](unsigned index) {
                if ((page_of(core.tlb_sets[rule][index], index) ^ linear) >> shift == 0) {
                    drop(core, rule, index);
                }
            });
        }
    }
}

void drop_faulting_page(Core& core, uint64_t linear) {
    core.second_tlb.drop_table(linear, core.spaces.current().structures_tag);
    drop_page(core, linear);
    finish(core);
}

void flush_tlb(Core& core) {
    drop_inline(core, Which::all);
    core.known_ranges = {};
    core.spaces.forget_everything();
    core.spaces.enter(current_pcid(core));
    finish(core);
}

void flush_inline_tlb(Core& core) { drop_inline(core, Which::all); }

void enter_address_space(Core& core, OldTranslations old) {
    const AddressSpace* before = &core.spaces.current();
    core.spaces.enter(current_pcid(core));
    AddressSpace& space = core.spaces.current();
    if (old == OldTranslations::drop) {
        core.spaces.renew(space);
    } else if (before == &space) {
        return;
    }
    drop_inline(core, Which::not_global);
    finish(core);
}

void flush_tlb_page(Core& core, uint64_t linear) {
    core.spaces.renew_structures(core.spaces.current());
    drop_page(core, linear);
    finish(core);
}

void flush_tlb_page(Core& core, uint64_t linear, uint16_t pcid) {
    AddressSpace* space = core.spaces.find(pcid);
    if (space == nullptr) {
        return;
    }
    if (space == &core.spaces.current()) {
        flush_tlb_page(core, linear);  // global ones too, which is no harm
        return;
    }
    core.spaces.renew_structures(*space);
    core.second_tlb.drop(linear, space->tag);
    core.spaces.page_dropped(*space, linear, AddressSpaces::Reach::own);
    finish(core);
}

void flush_tlb_pcid(Core& core, uint16_t pcid) {
    AddressSpace* space = core.spaces.find(pcid);
    if (space == nullptr) {
        return;
    }
    core.spaces.renew(*space);
    if (space == &core.spaces.current()) {
        drop_inline(core, Which::not_global);
    }
    finish(core);
}

void flush_tlb_non_global(Core& core) {
    core.spaces.renew_all();
    drop_inline(core, Which::not_global);
    finish(core);
}

namespace {

// Most parts of most sets have nothing of the page, which a few vector instructions see.
void protect_page_in(TlbSet& set, const TlbUse& use, const std::byte* host_page) {
    constexpr unsigned k_part = 64;
    const uint16_t wanted = page_hash(host_page);
    for (unsigned part = 0; part < k_tlb_places; part += k_part) {
        const uint16_t* hashes = &use.written[part];
        unsigned same = 0;
        for (unsigned i = 0; i < k_part; ++i) {
            same += hashes[i] == wanted ? 1U : 0U;
        }
        for (unsigned i = part; same != 0 && i < part + k_part; ++i) {
            if (set[i].host_page == host_page) {
                set[i].write_tag = empty_tag(i);
            }
        }
    }
}

bool is_empty(const TlbUse& use) {
    return std::ranges::all_of(use.used, [](uint64_t word) { return word == 0; });
}

}  // namespace

void protect_tlb_page(Core& core, const std::byte* host_page) {
    for (unsigned rule = 0; rule < k_access_rules; ++rule) {
        if (!is_empty(core.tlb_use[rule])) {
            protect_page_in(core.tlb_sets[rule], core.tlb_use[rule], host_page);
        }
    }
}

void protect_tlb_range(Core& core, const std::byte* host_page, uint64_t size) {
    if (size == k_page_size) {
        protect_tlb_page(core, host_page);
        return;
    }
    for (unsigned rule = 0; rule < k_access_rules; ++rule) {
        for (unsigned word = 0; word < core.tlb_use[rule].used.size(); ++word) {
            for_each_bit(word, core.tlb_use[rule].used[word], [&](unsigned index) {
                if (static_cast<uint64_t>(core.tlb_sets[rule][index].host_page - host_page) < size) {
                    core.tlb_sets[rule][index].write_tag = empty_tag(index);
                }
            });
        }
    }
}

}  // namespace skep::interp
