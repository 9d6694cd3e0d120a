// SPDX-License-Identifier: GPL-3.0-or-later
// The page walk as a pure function over a reader of guest-physical memory: none, 32-bit (PSE, PSE-36), PAE and
// 4-level paging (SDM 3A ch. 4). Used by the software CPUs and by tools that look into a guest.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/base/bits.hpp"

namespace skep::x86 {

// MAXPHYADDR as the software CPU offers it (CPUID 0x80000008).
inline constexpr unsigned k_physical_address_bits = 40;

// Page-fault error code (SDM 3A, 4.7).
inline constexpr uint32_t k_pf_present = 1, k_pf_write = 2, k_pf_user = 4, k_pf_reserved = 8, k_pf_fetch = 16;

enum class PagingMode : uint8_t { none, bits32, pae, four_level };
enum class PageUse : uint8_t { read, write, execute };
enum class Requester : uint8_t {
    supervisor,             // CPL 0..2 and implicit accesses: SMAP enforced
    supervisor_smap_lifted, // CPL 0..2 with EFLAGS.AC
    user,                   // CPL 3
};

// What of the control registers rules a walk.
struct PagingControls {
    PagingMode mode = PagingMode::none;
    bool write_protect = false;        // CR0.WP
    bool page_size_extension = false;  // CR4.PSE, 32-bit paging only
    bool no_execute = false;           // IA32_EFER.NXE
    bool smep = false;
    bool smap = false;
    uint64_t cr3 = 0;
    std::array<uint64_t, 4> pdpte{};   // the internal registers of PAE paging
};

// CR0, CR3, CR4 and IA32_EFER in; the pdpte member is the caller's.
[[nodiscard]] PagingControls paging_controls(uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer);

// PAE page-directory-pointer entries: a present one with a reserved bit makes MOV CR3 raise #GP (SDM 3A, 4.4.1).
[[nodiscard]] bool pdpte_is_valid(uint64_t pdpte);

struct Translation {
    bool allowed = false;
    uint32_t error_code = 0;   // k_pf_*, when not allowed
    uint64_t physical = 0;     // of the very byte
    uint8_t page_shift = 12;   // 12, 21, 22 or 30
    bool global = false;       // the leaf's G bit (CR4.PGE is the caller's)
    // What the same requester may do without another walk; `writable` also says that the dirty bit is set.
    bool readable = false;
    bool writable = false;
    // For a TLB of the caller's, that may answer the next access by rights_of(): the leaf with R/W, U/S and XD as the levels
    // above left them. And for a cache of tables: where a walk of this region may start again (shift 0: nowhere).
    uint64_t effective = 0;
    struct Start {
        uint64_t table = 0;
        uint64_t rights = ~uint64_t{0};  // R/W, U/S, XD of the levels above, in their places
        uint8_t shift = 0;               // what an entry of the table maps; 0: from the root
    };
    Start last_table;
};

namespace paging {

inline constexpr uint64_t k_present = 1, k_writable = 2, k_user = 4, k_accessed = 0x20, k_dirty = 0x40, k_large = 0x80,
                          k_global = 0x100;
inline constexpr uint64_t k_nx = bit(63);
inline constexpr uint64_t k_address_mask = bits(~uint64_t{0}, 0, k_physical_address_bits) & ~uint64_t{0xfff};

// Reserved bits of a present entry that maps or refers at this shift.
[[nodiscard]] uint64_t reserved_bits(const PagingControls& controls, unsigned shift, bool large);
// The frame address in a leaf entry.
[[nodiscard]] uint64_t frame_of(PagingMode mode, uint64_t entry, unsigned shift, bool large);

// The entries of one walk from the top down.
struct Path {
    struct Step {
        uint64_t address;
        uint64_t entry;
    };
    std::array<Step, 4> step;  // `count` of them
    unsigned count = 0;
    uint64_t all_of = k_writable | k_user;  // R/W and U/S of all levels, combined by AND
    uint64_t any_of = 0;                    // XD, combined by OR
    uint64_t above = 0;                     // combined() without the last step
    unsigned shift = 0;                     // of the leaf
    bool large = false;

    [[nodiscard]] uint64_t combined() const { return (all_of & (k_writable | k_user)) | (any_of & k_nx); }
    void add(uint64_t address, uint64_t entry) {
        above = combined();
        step[count++] = {address, entry};
        all_of &= entry;
        any_of |= entry;
    }
    [[nodiscard]] uint64_t leaf() const { return step[count - 1].entry; }
};

struct Rights {
    bool read, write, execute;
};
// By the combined R/W, U/S and XD (SDM 3A, 4.6.1).
inline Rights rights_of(const PagingControls& controls, uint64_t combined, Requester requester) {
    const bool user_page = (combined & k_user) != 0;
    const bool writable = (combined & k_writable) != 0;
    const bool executable = !controls.no_execute || controls.mode == PagingMode::bits32 || (combined & k_nx) == 0;
    if (requester == Requester::user) {
        return {.read = user_page, .write = user_page && writable, .execute = user_page && executable};
    }
    const bool data_allowed = !user_page || !controls.smap || requester == Requester::supervisor_smap_lifted;
    return {.read = data_allowed,
            .write = data_allowed && (writable || !controls.write_protect),
            .execute = executable && (!user_page || !controls.smep)};
}
// W/R, U/S and I/D of the error code. I/D exists with SMEP, or with XD in a paging mode that has it (SDM 3A, 4.7).
inline uint32_t access_error(const PagingControls& controls, PageUse use, Requester requester) {
    uint32_t error = requester == Requester::user ? k_pf_user : 0;
    if (use == PageUse::write) {
        error |= k_pf_write;
    }
    const bool tells_fetches = controls.smep || (controls.no_execute && controls.mode != PagingMode::bits32);
    if (use == PageUse::execute && tells_fetches) {
        error |= k_pf_fetch;
    }
    return error;
}
// Whether this PDE/PDPTE maps a page itself.
[[nodiscard]] inline bool maps_large_page(const PagingControls& controls, uint64_t entry, unsigned shift) {
    return shift > 12 && shift < 39 && (entry & k_large) != 0 &&
           (controls.mode != PagingMode::bits32 || controls.page_size_extension);
}

enum class Stop : uint8_t { leaf, not_present, reserved };

// Follows the tables from `table`, whose entries refer or map at `shift`.
template <typename Entry, typename Tables>
Stop descend(const PagingControls& controls, Tables& tables, uint64_t linear, uint64_t table, unsigned shift, Path& path) {
    constexpr unsigned k_index_bits = sizeof(Entry) == 8 ? 9 : 10;
    for (;; shift -= k_index_bits) {
        const uint64_t address = table + bits(linear, shift, k_index_bits) * sizeof(Entry);
        const uint64_t entry = tables.template load<Entry>(address);
        if ((entry & k_present) == 0) {
            return Stop::not_present;
        }
        const bool large = maps_large_page(controls, entry, shift);
        if ((entry & reserved_bits(controls, shift, large)) != 0) {
            return Stop::reserved;
        }
        path.add(address, entry);
        if (large || shift == 12) {
            path.shift = shift;
            path.large = large;
            return Stop::leaf;
        }
        table = entry & k_address_mask;
    }
}

template <typename Tables>
Stop descend_from(const Translation::Start& start, const PagingControls& controls, Tables& tables, uint64_t linear,
                  Path& path) {
    path.all_of &= start.rights;
    path.any_of |= start.rights & k_nx;
    if (controls.mode == PagingMode::bits32) {
        return descend<uint32_t>(controls, tables, linear, start.table, start.shift, path);
    }
    return descend<uint64_t>(controls, tables, linear, start.table, start.shift, path);
}

template <typename Tables>
Stop descend_from_root(const PagingControls& controls, Tables& tables, uint64_t linear, Path& path) {
    switch (controls.mode) {
        case PagingMode::four_level:
            return descend<uint64_t>(controls, tables, linear, controls.cr3 & k_address_mask, 39, path);
        case PagingMode::pae: {
            const uint64_t pdpte = controls.pdpte[bits(linear, 30, 2)];
            if ((pdpte & k_present) == 0) {
                return Stop::not_present;
            }
            return descend<uint64_t>(controls, tables, linear, pdpte & k_address_mask, 21, path);
        }
        case PagingMode::bits32:
            return descend<uint32_t>(controls, tables, linear, controls.cr3 & 0xffff'f000, 22, path);
        case PagingMode::none:
            break;
    }
    return Stop::not_present;
}

// Sets A in every entry used and D in the leaf of a write. False if an entry changed meanwhile: walk again.
template <typename Tables>
bool set_accessed_dirty(const PagingControls& controls, Tables& tables, Path& path, PageUse use) {
    for (unsigned i = 0; i < path.count; ++i) {
        const bool dirty = i + 1 == path.count && use == PageUse::write;
        const uint64_t wanted = path.step[i].entry | k_accessed | (dirty ? k_dirty : 0);
        if (wanted == path.step[i].entry) {
            continue;
        }
        const bool done = controls.mode == PagingMode::bits32
                              ? tables.template exchange<uint32_t>(path.step[i].address, path.step[i].entry, wanted)
                              : tables.template exchange<uint64_t>(path.step[i].address, path.step[i].entry, wanted);
        if (!done) {
            return false;
        }
        path.step[i].entry = wanted;
    }
    return true;
}

}  // namespace paging

namespace paging {

// What a leaf with the combined rights in it (Translation::effective) is to one access, in place: copies of small fields
// cost more than the walk.
inline void judge(const PagingControls& controls, uint64_t effective, unsigned shift, uint64_t linear, PageUse use,
                  Requester requester, Translation& result) {
    const Rights rights = rights_of(controls, effective, requester);
    result.allowed = use == PageUse::read ? rights.read : use == PageUse::write ? rights.write : rights.execute;
    if (!result.allowed) {
        result.error_code = access_error(controls, use, requester) | k_pf_present;
        return;
    }
    result.physical = (effective & k_address_mask) | (linear & (bit(shift) - 1));
    result.page_shift = static_cast<uint8_t>(shift);
    result.global = (effective & k_global) != 0;
    result.readable = rights.read;
    result.writable = rights.write && (effective & k_dirty) != 0;
    result.effective = effective;
}

}  // namespace paging

// Walks for one access. Tables has
//   template <typename Entry> uint64_t load(uint64_t physical);           // Entry: uint32_t or uint64_t, aligned
//   template <typename Entry> bool exchange(uint64_t physical, uint64_t expected, uint64_t wanted);  // atomic
// A and D bits are set only when the access is allowed. Any address is fine: bits above the mode's width are ignored.
template <typename Tables>
Translation walk(const PagingControls& controls, Tables& tables, uint64_t linear, PageUse use, Requester requester,
                 const Translation::Start& start = {}) {
    Translation result;
    if (controls.mode == PagingMode::none) {
        result.allowed = result.readable = result.writable = true;
        result.physical = linear & 0xffff'ffff;
        return result;
    }
    // Another processor that keeps changing an entry under us may not hold us for ever.
    constexpr unsigned k_tries = 256;
    for (unsigned attempt = 0;; ++attempt) {
        paging::Path path;
        const paging::Stop stop = start.shift != 0 ? paging::descend_from(start, controls, tables, linear, path)
                                                   : paging::descend_from_root(controls, tables, linear, path);
        if (stop != paging::Stop::leaf) {
            result.error_code = paging::access_error(controls, use, requester) |
                                (stop == paging::Stop::reserved ? k_pf_present | k_pf_reserved : 0);
            return result;
        }
        const uint64_t frame = paging::frame_of(controls.mode, path.leaf(), path.shift, path.large);
        constexpr uint64_t k_kept = paging::k_dirty | paging::k_global;
        const uint64_t effective = frame | path.combined() | (path.leaf() & k_kept);
        paging::judge(controls, effective, path.shift, linear, use, requester, result);
        if (!result.allowed) {
            return result;
        }
        if (!paging::set_accessed_dirty(controls, tables, path, use) && attempt < k_tries) {
            continue;
        }
        result.effective |= path.leaf() & paging::k_dirty;
        result.writable = result.writable || (use == PageUse::write && (path.leaf() & paging::k_dirty) != 0);
        if (path.shift == 12) {
            result.last_table.table = path.step[path.count - 1].address & ~uint64_t{0xfff};
            result.last_table.rights = path.above;
            result.last_table.shift = 12;
        }
        return result;
    }
}

}  // namespace skep::x86
