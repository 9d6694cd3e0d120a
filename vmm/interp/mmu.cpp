// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/mmu.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "vmm/base/bits.hpp"
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/memory_access.hpp"
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

x86::Translation walk_tables(Core& core, uint64_t linear, Access access, AccessRule rule) {
    x86::PagingControls controls = x86::paging_controls(core.cr0, core.cr3, core.cr4, core.msr.efer);
    controls.pdpte = core.pdpte;
    Tables tables(core);
    return x86::walk(controls, tables, linear, use_of(access), requester_of(rule));
}

constexpr unsigned word_of(unsigned index) { return index / 64; }
constexpr uint64_t bit_of(unsigned index) { return bit(index % 64); }

struct Backing {
    std::byte* page = nullptr;  // host address of the page, null for MMIO
    bool writable = false;
};

void fill(Core& core, uint64_t linear, const x86::Translation& found, Backing backing, AccessRule rule) {
    const uint64_t page = linear & ~k_page_mask;
    if (rule == k_as_user_aligned || page_is_watched(core, page)) [[unlikely]] {
        return;  // every access shall come the slow way
    }
    const auto index = static_cast<unsigned>((page / k_page_size) % k_tlb_entries);
    TlbEntry& entry = core.tlb_sets[rule][index];
    TlbUse& use = core.tlb_use[rule];
    const std::atomic<uint8_t>* marks = core.memory->marks_of(backing.page);
    const bool has_code = marks != nullptr && (marks->load(std::memory_order_seq_cst) & k_page_has_code) != 0;
    entry.read_tag = found.readable ? page : empty_tag(index);
    entry.write_tag = found.writable && backing.writable && !has_code ? page : empty_tag(index);
    entry.host_page = backing.page;
    use.used[word_of(index)] |= bit_of(index);
    if (found.global && (core.cr4 & x86::k_cr4_pge) != 0) {
        use.global[word_of(index)] |= bit_of(index);
    } else {
        use.global[word_of(index)] &= ~bit_of(index);
    }
    use.page_shift[index] = found.page_shift;
}

CodeTlbEntry& code_entry(Core& core, uint64_t linear) {
    return core.code_tlb[(linear / k_page_size) % k_code_tlb_entries];
}

uint64_t code_tag(uint64_t linear, AccessRule rule) { return (linear & ~k_page_mask) | (rule == k_as_user ? 1 : 0); }

void flush_code(Core& core) {
    new_code_generation(core);
    for (CodeTlbEntry& entry : core.code_tlb) {
        entry.tag = k_no_page;
    }
}

void drop(TlbSet& set, unsigned index) { set[index].read_tag = set[index].write_tag = empty_tag(index); }

// Drops the entries whose bit is set in `which`.
void drop_marked(TlbSet& set, unsigned word, uint64_t which) {
    while (which != 0) {
        const auto position = static_cast<unsigned>(std::countr_zero(which));
        drop(set, word * 64 + position);
        which &= which - 1;
    }
}

}  // namespace

Resolved try_resolve(Core& core, uint64_t linear, Access access, AccessRule rule) noexcept {
    const uint64_t offset = linear & k_page_mask;
    if (access == Access::execute) {
        const CodeTlbEntry& entry = code_entry(core, linear);
        if (entry.tag == code_tag(linear, rule)) {
            return {.kind = Resolved::Kind::memory, .host = entry.host + offset, .physical = entry.physical + offset};
        }
    }
    const x86::Translation found = walk_tables(core, linear, access, rule);
    if (!found.allowed) {
        return {.kind = Resolved::Kind::fault, .error_code = found.error_code};
    }
    const GuestAddress page = found.physical & ~k_page_mask;
    const MemoryRange* range = core.io != nullptr && core.io->is_apic_page(page) ? nullptr : find_page(core, page);
    if (range == nullptr || (access == Access::write && !range->writable)) {
        return {.kind = Resolved::Kind::machine, .physical = found.physical};
    }
    std::byte* host_page = range->host + (page - range->start);
    if (access == Access::execute) {
        code_entry(core, linear) = {.tag = code_tag(linear, rule), .host = host_page, .physical = page};
    } else {
        fill(core, linear, found, {.page = host_page, .writable = range->writable}, rule);
    }
    return {.kind = Resolved::Kind::memory, .host = host_page + offset, .physical = found.physical};
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

void flush_tlb(Core& core) {
    for (unsigned rule = 0; rule < core.tlb_sets.size(); ++rule) {
        for (unsigned word = 0; word < k_tlb_entries / 64; ++word) {
            drop_marked(core.tlb_sets[rule], word, core.tlb_use[rule].used[word]);
            core.tlb_use[rule].used[word] = core.tlb_use[rule].global[word] = 0;
        }
    }
    core.known_ranges = {};
    flush_code(core);
}

void flush_tlb_non_global(Core& core) {
    for (unsigned rule = 0; rule < core.tlb_sets.size(); ++rule) {
        TlbUse& use = core.tlb_use[rule];
        for (unsigned word = 0; word < k_tlb_entries / 64; ++word) {
            drop_marked(core.tlb_sets[rule], word, use.used[word] & ~use.global[word]);
            use.used[word] &= use.global[word];
        }
    }
    flush_code(core);
}

void flush_tlb_page(Core& core, uint64_t linear) {
    for (unsigned rule = 0; rule < core.tlb_sets.size(); ++rule) {
        auto& set = core.tlb_sets[rule];
        const TlbUse& use = core.tlb_use[rule];
        drop(set, (linear / k_page_size) % k_tlb_entries);
        for (unsigned word = 0; word < k_tlb_entries / 64; ++word) {
            for (uint64_t left = use.used[word]; left != 0; left &= left - 1) {
                const unsigned index = word * 64 + static_cast<unsigned>(std::countr_zero(left));
                const TlbEntry& entry = set[index];
                const uint64_t tag = entry.read_tag != empty_tag(index) ? entry.read_tag : entry.write_tag;
                if (use.page_shift[index] > 12 && ((tag ^ linear) >> use.page_shift[index]) == 0) {
                    drop(set, index);
                }
            }
        }
    }
    flush_code(core);
}

void protect_tlb_page(Core& core, const std::byte* host_page) {
    for (TlbSet& set : core.tlb_sets) {
        for (unsigned index = 0; index < k_tlb_entries; ++index) {
            if (set[index].host_page == host_page) {
                set[index].write_tag = empty_tag(index);
            }
        }
    }
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

namespace {

uint64_t next_page(const Core& core, uint64_t linear) {
    const uint64_t next = (linear & ~k_page_mask) + k_page_size;
    return core.long_mode_active ? next : next & 0xffff'ffff;
}

// One side of an access, resolved: host memory, or a guest address for the machine.
struct Piece {
    std::byte* host = nullptr;
    GuestAddress physical = 0;
};

Piece resolve_piece(Core& core, uint64_t linear, Access access, AccessRule rule) {
    Piece piece;
    piece.host = resolve(core, linear, access, rule, &piece.physical);
    return piece;
}

uint64_t load_piece(Core& core, const Piece& piece, unsigned size) {
    if (piece.host == nullptr) {
        uint64_t value = 0;
        for (unsigned done = 0; done < size;) {
            const unsigned part = std::bit_floor(size - done);
            value |= core.io->mmio_read(piece.physical + done, part) << (done * 8);
            done += part;
        }
        return value;
    }
    switch (size) {
        case 8: return load_le<uint64_t>(piece.host);
        case 4: return load_le<uint32_t>(piece.host);
        case 2: return load_le<uint16_t>(piece.host);
        default: break;
    }
    uint64_t value = 0;
    std::memcpy(&value, piece.host, size);
    return value;
}

void store_piece(Core& core, const Piece& piece, unsigned size, uint64_t value) {
    if (piece.host == nullptr) {
        for (unsigned done = 0; done < size;) {
            const unsigned part = std::bit_floor(size - done);
            core.io->mmio_write(piece.physical + done, part, (value >> (done * 8)) & all_ones(part));
            done += part;
        }
        return;
    }
    switch (size) {
        case 8: store_le<uint64_t>(piece.host, value); break;
        case 4: store_le(piece.host, static_cast<uint32_t>(value)); break;
        case 2: store_le(piece.host, static_cast<uint16_t>(value)); break;
        default: std::memcpy(piece.host, &value, size); break;
    }
    note_code_write(core, piece.host, size);
}

}  // namespace

uint64_t read_linear(Core& core, uint64_t linear, unsigned size, AccessRule rule) {
    const uint64_t offset = linear & k_page_mask;
    note_data_access(core, linear, size, Access::read);
    const TlbEntry& entry = core.tlb_sets[rule][(linear / k_page_size) % k_tlb_entries];
    if (offset + size <= k_page_size) {
        if (entry.read_tag == (linear & ~k_page_mask)) {
            return load_piece(core, {.host = host_of(entry, linear)}, size);
        }
        return load_piece(core, resolve_piece(core, linear, Access::read, rule), size);
    }
    const auto first_size = static_cast<unsigned>(k_page_size - offset);
    const Piece first = resolve_piece(core, linear, Access::read, rule);
    const Piece second = resolve_piece(core, next_page(core, linear), Access::read, rule);
    return load_piece(core, first, first_size) | (load_piece(core, second, size - first_size) << (first_size * 8));
}

void write_linear(Core& core, uint64_t linear, unsigned size, uint64_t value, AccessRule rule) {
    const uint64_t offset = linear & k_page_mask;
    note_data_access(core, linear, size, Access::write);
    if (offset + size <= k_page_size) {
        store_piece(core, resolve_piece(core, linear, Access::write, rule), size, value);
        return;
    }
    const auto first_size = static_cast<unsigned>(k_page_size - offset);
    const Piece first = resolve_piece(core, linear, Access::write, rule);
    const Piece second = resolve_piece(core, next_page(core, linear), Access::write, rule);
    store_piece(core, first, first_size, value & all_ones(first_size));
    store_piece(core, second, size - first_size, value >> (first_size * 8));
}

void check_linear_write(Core& core, uint64_t linear, uint64_t size, AccessRule rule) {
    resolve(core, linear, Access::write, rule, nullptr);
    if ((linear & k_page_mask) + size > k_page_size) {
        resolve(core, next_page(core, linear), Access::write, rule, nullptr);
    }
}

}  // namespace skep::interp
