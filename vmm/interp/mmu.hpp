// SPDX-License-Identifier: GPL-3.0-or-later
// Linear addresses to host memory: the page walk, the fill of Core's soft TLB and its flushes (SDM 3A ch. 4).
// All calls on the vCPU's own thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// What a linear address means for one access.
struct Resolved {
    enum class Kind : uint8_t {
        memory,   // `host` is the very byte, good up to the end of its 4 KiB page
        machine,  // CpuIo answers at `physical`: MMIO, the xAPIC page, a write to ROM
        fault,    // #PF with `error_code`; CR2 is not set yet
    };
    Kind kind = Kind::fault;
    uint32_t error_code = 0;
    std::byte* host = nullptr;  // memory only, else null
    GuestAddress physical = 0;  // of the very byte; memory and machine

    [[nodiscard]] bool faulted() const { return kind == Kind::fault; }
};

// Translates one linear address (already wrapped to 32 bits outside 64-bit mode, already canonical in it) and fills the
// TLB entry of core.tlb_sets[rule]. A pointer for `write` may lie in a page marked k_page_has_code: the caller tells who
// decodes. `execute` is for instruction fetch: no data tag is filled that the same rule would not allow.
// Nothing of the guest's registers changes, not even on a fault.
Resolved try_resolve(Core& core, uint64_t linear, Access access, AccessRule rule) noexcept;
// Whether try_resolve() of such an access by the current rule needs no page walk, and does not fault: then nothing of the
// guest's memory changes either.
[[nodiscard]] bool is_known(Core& core, uint64_t linear, Access access) noexcept;
// The #PF that a refused access raises; sets CR2.
Fault page_fault(Core& core, uint64_t linear, uint32_t error_code);
// The same, throwing that #PF. Returns nullptr for what the machine answers; *physical_out, if not null, is set always.
std::byte* resolve(Core& core, uint64_t linear, Access access, AccessRule rule, GuestAddress* physical_out);

// --- flushes (SDM 3A, 4.10.4) ------------------------------------------------------------------------------------------
// Every cached translation of every address space, global ones too, and what is remembered of the memory map.
void flush_tlb(Core& core);
// The inline TLB only: the rules of access changed (WP, SMAP, breakpoints), not the translations.
void flush_inline_tlb(Core& core);
// After CR3 (and CR4.PCIDE) named the address space. `keep`: bit 63 of a MOV to CR3 with CR4.PCIDE. Global translations
// stay in any case.
enum class OldTranslations : uint8_t { drop, keep };
void enter_address_space(Core& core, OldTranslations old);
// INVLPG: the page holding `linear`, however large the guest mapped it, global or the current address space's.
void flush_tlb_page(Core& core, uint64_t linear);
// INVPCID types 0, 1 and 3: without global translations.
void flush_tlb_page(Core& core, uint64_t linear, uint16_t pcid);
void flush_tlb_pcid(Core& core, uint16_t pcid);
void flush_tlb_non_global(Core& core);
// The write tag of every entry that maps this host page: called when the page gets its k_page_has_code mark.
void protect_tlb_page(Core& core, const std::byte* host_page);
// The same for all pages in [host_page, host_page + size): whoever collects their writes wants to be told again.
void protect_tlb_range(Core& core, const std::byte* host_page, uint64_t size);

// The rule that ordinary data accesses of the current mode obey, and that of code running at `cpl`.
[[nodiscard]] AccessRule data_rule(const Core& core);
[[nodiscard]] AccessRule data_rule_at(const Core& core, unsigned cpl);

// Rare-path accesses by an explicit rule: they may cross pages and touch MMIO. A fault leaves memory unchanged (both
// pages of a crossing store are resolved before either is written). size: 1, 2, 4, 8.
[[nodiscard]] uint64_t read_linear(Core& core, uint64_t linear, unsigned size, AccessRule rule);
void write_linear(Core& core, uint64_t linear, unsigned size, uint64_t value, AccessRule rule);
// Faults as write_linear would, without writing: to check a whole frame before the first push.
void check_linear_write(Core& core, uint64_t linear, uint64_t size, AccessRule rule);

}  // namespace skep::interp
