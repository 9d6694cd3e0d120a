// SPDX-License-Identifier: GPL-3.0-or-later
// Data accesses by linear address: the inlined TLB check and the slow way round (page crossings, MMIO, ROM, pages that
// hold decoded code). Ordering is the host's own (TSO), so plain loads and stores are what the guest expects.
#pragma once

#include <cstring>

#include "vmm/base/bits.hpp"
#include "vmm/interp/core.hpp"
#include "vmm/interp/mmu.hpp"

namespace skep::interp {

// Core::rip of the faulting instruction, for handlers that run without it.
inline void set_fault_rip(Core& core, const Op* op) { core.rip = core.gpr[17] + op->offset; }

// --- the slow way: any size from 1 to 64 bytes (values: 1, 2, 4, 8), may cross a page, may meet MMIO -----------------
// `segment` decides between #GP and #SS for a non-canonical address. All throw Fault; Core::rip must be set.
uint64_t load_slow(Core& core, uint64_t linear, unsigned size, unsigned segment);
void store_slow(Core& core, uint64_t linear, unsigned size, uint64_t value, unsigned segment);
// Reads, but faults as a write: the first half of a read-modify-write instruction.
uint64_t load_for_write_slow(Core& core, uint64_t linear, unsigned size, unsigned segment);
void load_bytes(Core& core, uint64_t linear, void* to, unsigned size, unsigned segment = k_ds);
void store_bytes(Core& core, uint64_t linear, const void* from, unsigned size, unsigned segment = k_ds);
// Throws what a store of `size` bytes would throw; nothing is written.
void check_store(Core& core, uint64_t linear, unsigned size, unsigned segment = k_ds);

// The same for callers that take no exceptions: false leaves what would have been thrown in Core::fault (and CR2 set for a
// #PF); take_fault() in exceptions.hpp then delivers it. Nothing is read or written before every check has passed.
[[nodiscard]] bool try_load(Core& core, uint64_t linear, unsigned size, unsigned segment, uint64_t& value) noexcept;
[[nodiscard]] bool try_store(Core& core, uint64_t linear, unsigned size, unsigned segment, uint64_t value) noexcept;
[[nodiscard]] bool try_load_for_write(Core& core, uint64_t linear, unsigned size, unsigned segment,
                                      uint64_t& value) noexcept;
[[nodiscard]] bool try_load_bytes(Core& core, uint64_t linear, unsigned size, unsigned segment, void* to) noexcept;
[[nodiscard]] bool try_store_bytes(Core& core, uint64_t linear, unsigned size, unsigned segment,
                                   const void* from) noexcept;

// A handler that met a fault and can simply return does this first: the run loop then delivers it at Core::rip (a
// PlainHandler sets Core::next_rip to that). A thrown Fault does the same, a hundred times slower.
void leave_with_fault(Core& core, const Fault& fault);
// Fills the TLB for an access that missed it. False after leave_with_fault(): it is a #PF. True: go the slow way, which
// finds every other fault. Core::rip must be set.
[[nodiscard]] bool page_in(Core& core, uint64_t linear, unsigned size, Access access);

// Memory operands of any size as host memory. Null when it is not one stretch of RAM that needs no notice of writes:
// then bounce through load_bytes/store_bytes.
inline std::byte* host_for_read(Core& core, uint64_t linear, unsigned size) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    const uint64_t last_page = (linear + size - 1) & ~k_page_mask;
    if (entry.read_tag == last_page && (linear & ~k_page_mask) == last_page) {
        return host_of(entry, linear);
    }
    return nullptr;
}
inline std::byte* host_for_write(Core& core, uint64_t linear, unsigned size) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    const uint64_t last_page = (linear + size - 1) & ~k_page_mask;
    if (entry.write_tag == last_page && (linear & ~k_page_mask) == last_page) {
        return host_of(entry, linear);
    }
    return nullptr;
}

// The same for what lies on one page, through the MMU if it must be. Null also for what faults, which is not raised. The
// pointer is good until something is flushed, even when the TLB has forgotten it for another page.
std::byte* find_host_slowly(Core& core, uint64_t linear, Access access) noexcept;
inline std::byte* find_host(Core& core, uint64_t linear, Access access) {
    std::byte* known = access == Access::write ? host_for_write(core, linear, 1) : host_for_read(core, linear, 1);
    return known != nullptr ? known : find_host_slowly(core, linear, access);
}

// --- for handlers that know their Op: Core::rip is set only when it is needed ------------------------------------------
// An access that crosses into the next page never matches: neighbouring pages lie in different entries.
template <typename T>
inline T load(Core& core, const Op* op, uint64_t linear, unsigned segment) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    if (entry.read_tag == ((linear + sizeof(T) - 1) & ~k_page_mask)) [[likely]] {
        return load_le<T>(host_of(entry, linear));
    }
    set_fault_rip(core, op);
    return static_cast<T>(load_slow(core, linear, sizeof(T), segment));
}
template <typename T>
inline void store(Core& core, const Op* op, uint64_t linear, T value, unsigned segment) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    if (entry.write_tag == ((linear + sizeof(T) - 1) & ~k_page_mask)) [[likely]] {
        store_le<T>(host_of(entry, linear), value);
        return;
    }
    set_fault_rip(core, op);
    store_slow(core, linear, sizeof(T), value, segment);
}

// --- for PlainHandlers (Core::rip is the instruction's) by the current access rule -------------------------------------
template <typename T>
inline T load(Core& core, uint64_t linear, unsigned segment = k_ds) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    if (entry.read_tag == ((linear + sizeof(T) - 1) & ~k_page_mask)) [[likely]] {
        return load_le<T>(host_of(entry, linear));
    }
    return static_cast<T>(load_slow(core, linear, sizeof(T), segment));
}
template <typename T>
inline void store(Core& core, uint64_t linear, T value, unsigned segment = k_ds) {
    const TlbEntry& entry = core.tlb[(linear / k_page_size) % k_tlb_entries];
    if (entry.write_tag == ((linear + sizeof(T) - 1) & ~k_page_mask)) [[likely]] {
        store_le<T>(host_of(entry, linear), value);
        return;
    }
    store_slow(core, linear, sizeof(T), value, segment);
}

// Implicit accesses (descriptor tables, TSS, interrupt stacks of inner rings).
template <typename T>
inline T load_system(Core& core, uint64_t linear) {
    return static_cast<T>(read_linear(core, linear, sizeof(T), k_as_supervisor));
}
template <typename T>
inline void store_system(Core& core, uint64_t linear, T value) {
    write_linear(core, linear, sizeof(T), value, k_as_supervisor);
}

// After bytes [host, host+size) of guest memory were written by a way that did not go through a write tag: drops the
// decoded code that they held, on every vCPU. Call it after the write. Cheap when the page holds no code.
void note_code_write(Core& core, const std::byte* host, unsigned size);

}  // namespace skep::interp
