// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/mmu.hpp"

#include <atomic>

#include "vmm/base/bits.hpp"
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/tlb_flush.hpp"
#include "vmm/x86/paging.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {
namespace {

// The map's range around an address, if the whole page lies in it.
const MemoryRange* find_page(Core& core, GuestAddress page) {
    for (const MemoryRange& range : core.known_ranges) {
        if (page - range.start < range.size && range.size - (page - range.start) >= k_page_size) {
            return &range;
        }
    }
    const std::optional<MemoryRange> range = core.memory->find(page);
    if (!range || range->size - (page - range->start) < k_page_size) {
        return nullptr;
    }
    core.known_ranges[1] = core.known_ranges[0];
    core.known_ranges[0] = *range;
    return core.known_ranges.data();
}

// Guest-physical memory as the page walk reads it.
class Tables {
  public:
    explicit Tables(Core& core) : m_core(core) {}

    template <typename Entry>
    uint64_t load(uint64_t physical) {
        const MemoryRange* range = find_page(m_core, physical & ~k_page_mask);
        if (range == nullptr) {
            return m_core.io->mmio_read(physical, sizeof(Entry));
        }
        return at<Entry>(*range, physical).load(std::memory_order_acquire);
    }

    template <typename Entry>
    bool exchange(uint64_t physical, uint64_t expected, uint64_t wanted) {
        const MemoryRange* range = find_page(m_core, physical & ~k_page_mask);
        if (range == nullptr || !range->writable) {
            return true;  // tables in ROM: the write goes nowhere
        }
        if (std::atomic<uint8_t>* marks = m_core.memory->marks_of(range->host + (physical - range->start))) {
            m_core.memory->log_write(*marks);
        }
        auto old = static_cast<Entry>(expected);
        return at<Entry>(*range, physical).compare_exchange_strong(old, static_cast<Entry>(wanted));
    }

  private:
    template <typename Entry>
    static std::atomic_ref<Entry> at(const MemoryRange& range, uint64_t physical) {
        return std::atomic_ref<Entry>(*reinterpret_cast<Entry*>(range.host + (physical - range.start)));
    }

    Core& m_core;
};

x86::Requester requester_of(AccessRule rule) {
    switch (rule) {
        case k_as_user:
        case k_as_user_aligned:
            return x86::Requester::user;
        case k_as_supervisor_ac:
            return x86::Requester::supervisor_smap_lifted;
        default:
            return x86::Requester::supervisor;
    }
}

x86::PageUse use_of(Access access) {
    switch (access) {
        case Access::read:
            return x86::PageUse::read;
        case Access::write:
            return x86::PageUse::write;
        default:
            return x86::PageUse::execute;
    }
}

// A walk, from as far down as the tables are known. A fault is never one of outdated knowledge: then all of it is read.
x86::Translation walk_tables(Core& core, const x86::PagingControls& controls, uint64_t linear, x86::PageUse use,
                             x86::Requester requester) {
    Tables tables(core);
    x86::Translation::Start start;
    if (controls.mode != x86::PagingMode::none) {
        start = core.second_tlb.find_table(linear, core.spaces.current().structures_tag);
    }
    x86::Translation found = x86::walk(controls, tables, linear, use, requester, start);
    if (!found.allowed && start.shift != 0) {
        found = x86::walk(controls, tables, linear, use, requester);
    }
    return found;
}

void remember(Core& core, uint64_t linear, const x86::Translation& found, bool global) {
    const AddressSpace& space = core.spaces.current();
    const uint64_t effective = global ? found.effective : found.effective & ~x86::paging::k_global;
    const auto evicted = core.second_tlb.insert(linear, global ? core.spaces.global_tag() : space.tag, effective,
                                                found.page_shift);
    if (evicted && (evicted->tag == space.tag || evicted->tag == core.spaces.global_tag())) {
        drop_large_pages(core, evicted->linear, 21);
    }
    if (found.last_table.shift != 0) {
        core.second_tlb.insert_table(linear, space.structures_tag, found.last_table);
    }
}

// What a TLB entry is made of.
struct Mapping {
    GuestAddress physical;  // of the very byte
    bool readable, writable, executable, global;
    unsigned page_shift;
};

Mapping mapping_of(const SecondTlb::Found& known, const x86::PagingControls& controls, uint64_t linear,
                   x86::Requester requester) {
    const x86::paging::Rights rights = x86::paging::rights_of(controls, known.effective, requester);
    return {.physical = (known.effective & x86::paging::k_address_mask) | (linear & (bit(known.shift) - 1)),
            .readable = rights.read,
            .writable = rights.write && (known.effective & x86::paging::k_dirty) != 0,  // or a walk must set it
            .executable = rights.execute,
            .global = (known.effective & x86::paging::k_global) != 0,
            .page_shift = known.shift};
}

bool allows(const Mapping& mapping, Access access) {
    switch (access) {
        case Access::read: return mapping.readable;
        case Access::write: return mapping.writable;
        default: return mapping.executable;
    }
}

struct Backing {
    std::byte* page = nullptr;  // host address of the page, null for MMIO
    bool writable = false;
};

[[gnu::always_inline]] inline void fill(Core& core, uint64_t linear, const Mapping& found, Backing backing,
                                        AccessRule rule) {
    const uint64_t page = linear & ~k_page_mask;
    if (rule == k_as_user_aligned || page_is_watched(core, page)) [[unlikely]] {
        return;  // every access shall come the slow way
    }
    const auto index = static_cast<unsigned>((page / k_page_size) % k_tlb_entries);
    TlbEntry& entry = core.tlb_sets[rule][index];
    make_room(core.tlb_sets[rule], core.tlb_use[rule], index, page);
    const std::atomic<uint8_t>* marks = core.memory->marks_of(backing.page);
    const unsigned marked = marks != nullptr ? marks->load(std::memory_order_seq_cst) : 0U;
    const bool is_told = (marked & k_page_has_code) != 0 || (marked & (k_page_logged | k_page_dirty)) == k_page_logged;
    entry.read_tag = found.readable ? page : empty_tag(index);
    entry.write_tag = found.writable && backing.writable && !is_told ? page : empty_tag(index);
    entry.host_page = backing.page;
    entry.addend = reinterpret_cast<uintptr_t>(backing.page) - page;
    core.tlb_use[rule].written[index] = page_hash(backing.page);
    note_use(core.tlb_use[rule], index, found.global, found.page_shift > 12);
}

CodeTlbEntry& code_entry(Core& core, uint64_t linear) {
    return core.code_tlb[(linear / k_page_size) % k_code_tlb_entries];
}

uint64_t code_tag(uint64_t linear, AccessRule rule) { return (linear & ~k_page_mask) | (rule == k_as_user ? 1 : 0); }

AddressSpaces::Privilege privilege_of(AccessRule rule) {
    return rule == k_as_user ? AddressSpaces::Privilege::user : AddressSpaces::Privilege::supervisor;
}

bool is_known_code(Core& core, const CodeTlbEntry& entry, uint64_t linear, AccessRule rule) {
    return entry.tag == code_tag(linear, rule) &&
           (entry.view == core.spaces.global_view() || entry.view == core.spaces.view(privilege_of(rule)));
}

void fill_code(Core& core, uint64_t linear, const Mapping& found, std::byte* host_page, AccessRule rule) {
    const View view = core.spaces.page_executed(linear, found.page_shift, privilege_of(rule),
                                                found.global ? AddressSpaces::Reach::global
                                                             : AddressSpaces::Reach::own);
    code_entry(core, linear) = {.tag = code_tag(linear, rule),
                                .view = view,
                                .host = host_page,
                                .physical = found.physical & ~k_page_mask};
    refresh_code_context(core);
}

// Where it lies, and into the TLB with it.
[[gnu::always_inline]] inline Resolved answer(Core& core, uint64_t linear, Access access, AccessRule rule,
                                              const Mapping& found) {
    const GuestAddress page = found.physical & ~k_page_mask;
    const MemoryRange* range = core.io != nullptr && core.io->is_apic_page(page) ? nullptr : find_page(core, page);
    if (range == nullptr || (access == Access::write && !range->writable)) {
        return {.kind = Resolved::Kind::machine, .physical = found.physical};
    }
    std::byte* host_page = range->host + (page - range->start);
    if (access == Access::write) {
        if (std::atomic<uint8_t>* marks = core.memory->marks_of(host_page)) {
            core.memory->log_write(*marks);
        }
    }
    if (access == Access::execute) {
        fill_code(core, linear, found, host_page, rule);
    } else {
        fill(core, linear, found, {.page = host_page, .writable = range->writable}, rule);
    }
    return {.kind = Resolved::Kind::memory, .host = host_page + (linear & k_page_mask), .physical = found.physical};
}

Resolved resolve_by_walk(Core& core, const x86::PagingControls& controls, uint64_t linear, Access access,
                         AccessRule rule) {
    const x86::Translation found = walk_tables(core, controls, linear, use_of(access), requester_of(rule));
    if (!found.allowed) {
        drop_faulting_page(core, linear);
        return {.kind = Resolved::Kind::fault, .error_code = found.error_code};
    }
    const bool global = found.global && (core.cr4 & x86::k_cr4_pge) != 0;
    if (controls.mode != x86::PagingMode::none) {
        remember(core, linear, found, global);
    }
    return answer(core, linear, access, rule,
                  {.physical = found.physical,
                   .readable = found.readable,
                   .writable = found.writable,
                   .executable = true,
                   .global = global,
                   .page_shift = found.page_shift});
}

}  // namespace

Resolved try_resolve(Core& core, uint64_t linear, Access access, AccessRule rule) noexcept {
    if (access == Access::execute) {
        const CodeTlbEntry& entry = code_entry(core, linear);
        if (is_known_code(core, entry, linear, rule)) {
            const uint64_t offset = linear & k_page_mask;
            return {.kind = Resolved::Kind::memory, .host = entry.host + offset, .physical = entry.physical + offset};
        }
    }
    x86::PagingControls controls = x86::paging_controls(core.cr0, core.cr3, core.cr4, core.msr.efer);
    const auto known = core.second_tlb.find(linear, core.spaces.current().tag, core.spaces.global_tag());
    if (known && controls.mode != x86::PagingMode::none) {
        const Mapping found = mapping_of(*known, controls, linear, requester_of(rule));
        if (allows(found, access)) {
            return answer(core, linear, access, rule, found);
        }
    }
    controls.pdpte = core.pdpte;
    return resolve_by_walk(core, controls, linear, access, rule);
}

bool is_known(Core& core, uint64_t linear, Access access) noexcept {
    const x86::PagingControls controls = x86::paging_controls(core.cr0, core.cr3, core.cr4, core.msr.efer);
    if (controls.mode == x86::PagingMode::none) {
        return true;
    }
    const auto known = core.second_tlb.find(linear, core.spaces.current().tag, core.spaces.global_tag());
    return known && allows(mapping_of(*known, controls, linear, requester_of(data_rule(core))), access);
}

Fault page_fault(Core& core, uint64_t linear, uint32_t error_code) {
    core.cr2 = linear;
    return {.vector = k_pf, .has_error_code = true, .error_code = error_code};
}

std::byte* resolve(Core& core, uint64_t linear, Access access, AccessRule rule, GuestAddress* physical_out) {
    const Resolved found = try_resolve(core, linear, access, rule);
    if (found.faulted()) [[unlikely]] {
        throw page_fault(core, linear, found.error_code);
    }
    if (physical_out != nullptr) {
        *physical_out = found.physical;
    }
    return found.host;
}

AccessRule data_rule_at(const Core& core, unsigned cpl) {
    if (cpl == 3) {
        return k_as_user;
    }
    return (core.rflags_rest & x86::k_flag_ac) != 0 ? k_as_supervisor_ac : k_as_supervisor;
}

AccessRule data_rule(const Core& core) {
    const bool aligned = core.cpl == 3 && (core.cr0 & x86::k_cr0_am) != 0 && (core.rflags_rest & x86::k_flag_ac) != 0;
    return aligned ? k_as_user_aligned : data_rule_at(core, core.cpl);
}

}  // namespace skep::interp
