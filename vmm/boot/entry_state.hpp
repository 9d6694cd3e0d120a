// SPDX-License-Identifier: GPL-3.0-or-later
// Processor states for kernels started without firmware: flat 32-bit protected mode and 64-bit long mode.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/cpu/cpu_state.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

inline constexpr uint16_t k_entry_code_selector = 0x10;
inline constexpr uint16_t k_entry_data_selector = 0x18;
inline constexpr uint64_t k_entry_gdt_bytes = 32;
inline constexpr uint64_t k_entry_page_table_bytes =
    6 * 4096;  // PML4, PDPT, four page directories: 4 GiB of 2 MiB pages

// Protected mode, paging off, interrupts off, flat segments from a GDT that is written to `gdt` (k_entry_gdt_bytes).
[[nodiscard]] Result<CpuState> protected_mode_entry(GuestMemory& memory, const CpuState& reset_state, GuestAddress gdt,
                                                    uint32_t entry);
// Long mode with the first 4 GiB mapped one to one by tables written to `page_tables` (page-aligned).
[[nodiscard]] Result<CpuState> long_mode_entry(GuestMemory& memory, const CpuState& reset_state, GuestAddress gdt,
                                               GuestAddress page_tables, uint64_t entry);

// Copies into RAM whatever is mapped over it (ROM before the guest opened the RAM below). Fails where no RAM is.
[[nodiscard]] Status put_into_ram(GuestMemory& memory, GuestAddress address, const void* data, uint64_t size);

}  // namespace skep
