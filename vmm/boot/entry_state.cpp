// SPDX-License-Identifier: GPL-3.0-or-later
// After Intel SDM volume 3A, 3.4.5 (descriptors), 4.5 (paging) and 9.8.5 (entering IA-32e mode).
#include "vmm/boot/entry_state.hpp"

#include <array>
#include <cstring>

namespace skep {
namespace {

constexpr uint64_t k_cr0_pe = 1, k_cr0_et = 0x10, k_cr0_ne = 0x20, k_cr0_pg = uint64_t{1} << 31;
constexpr uint64_t k_cr4_pae = 0x20;
constexpr uint64_t k_efer_lme_lma = 0x500;

constexpr uint64_t k_code32_descriptor = 0x00cf'9b00'0000'ffff;
constexpr uint64_t k_code64_descriptor = 0x00af'9b00'0000'ffff;
constexpr uint64_t k_data_descriptor = 0x00cf'9300'0000'ffff;
// The same as VMX access rights, see Segment.
constexpr uint32_t k_code32_attributes = 0xc09b;
constexpr uint32_t k_code64_attributes = 0xa09b;
constexpr uint32_t k_data_attributes = 0xc093;
constexpr uint32_t k_unusable = 0x1'0000;

Status put_gdt(GuestMemory& memory, GuestAddress gdt, uint64_t code_descriptor) {
    const std::array<uint64_t, 4> descriptors{0, 0, code_descriptor, k_data_descriptor};
    static_assert(sizeof descriptors == k_entry_gdt_bytes);
    return put_into_ram(memory, gdt, descriptors.data(), sizeof descriptors);
}

CpuState flat_segments(const CpuState& reset_state, GuestAddress gdt, uint32_t code_attributes) {
    CpuState state = reset_state;
    state.gpr = {};
    state.rflags = 2;
    for (Segment& segment : state.segment) {
        segment = {.base = 0, .limit = 0xffff'ffff, .attributes = k_data_attributes, .selector = k_entry_data_selector};
    }
    state.segment[k_cs].attributes = code_attributes;
    state.segment[k_cs].selector = k_entry_code_selector;
    state.ldtr = {.base = 0, .limit = 0, .attributes = k_unusable, .selector = 0};
    state.gdtr = {.base = gdt, .limit = k_entry_gdt_bytes - 1};
    state.idtr = {.base = 0, .limit = 0};
    return state;
}

Status put_identity_map(GuestMemory& memory, GuestAddress tables) {
    constexpr uint64_t k_present_writable = 3, k_large_page = 0x80;
    constexpr uint64_t k_large_page_bytes = 2 << 20;
    constexpr unsigned k_entries = 512, k_directories = 4;
    std::array<std::array<uint64_t, k_entries>, 2 + k_directories> pages{};
    static_assert(sizeof pages == k_entry_page_table_bytes);
    pages[0][0] = (tables + k_page_size) | k_present_writable;
    for (unsigned directory = 0; directory < k_directories; ++directory) {
        pages[1][directory] = (tables + (2 + directory) * k_page_size) | k_present_writable;
        for (uint64_t entry = 0; entry < k_entries; ++entry) {
            pages[2 + directory][entry] =
                (directory * k_entries + entry) * k_large_page_bytes | k_present_writable | k_large_page;
        }
    }
    return put_into_ram(memory, tables, pages.data(), sizeof pages);
}

}  // namespace

Status put_into_ram(GuestMemory& memory, GuestAddress address, const void* data, uint64_t size) {
    std::byte* to = memory.ram_at(address, size);
    if (to == nullptr) {
        return fail(ErrorKind::invalid_input,
                    "The VM's memory of {} MiB has no room for {} bytes at {:#x}; give the VM more memory.",
                    memory.ram_bytes() >> 20, size, address);
    }
    std::memcpy(to, data, size);
    return {};
}

Result<CpuState> protected_mode_entry(GuestMemory& memory, const CpuState& reset_state, GuestAddress gdt,
                                      uint32_t entry) {
    if (const Status put = put_gdt(memory, gdt, k_code32_descriptor); !put) {
        return tl::unexpected(put.error());
    }
    CpuState state = flat_segments(reset_state, gdt, k_code32_attributes);
    state.cr0 = k_cr0_pe | k_cr0_et | k_cr0_ne;
    state.rip = entry;
    return state;
}

Result<CpuState> long_mode_entry(GuestMemory& memory, const CpuState& reset_state, GuestAddress gdt,
                                 GuestAddress page_tables, uint64_t entry) {
    Status put = put_gdt(memory, gdt, k_code64_descriptor);
    if (put) {
        put = put_identity_map(memory, page_tables);
    }
    if (!put) {
        return tl::unexpected(put.error());
    }
    CpuState state = flat_segments(reset_state, gdt, k_code64_attributes);
    state.cr0 = k_cr0_pe | k_cr0_et | k_cr0_ne | k_cr0_pg;
    state.cr3 = page_tables;
    state.cr4 = k_cr4_pae;
    state.msr.efer = k_efer_lme_lma;
    state.rip = entry;
    return state;
}

}  // namespace skep
