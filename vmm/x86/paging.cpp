// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/paging.hpp"

#include "vmm/x86/registers.hpp"

namespace skep::x86 {

PagingControls paging_controls(uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer) {
    PagingControls controls;
    controls.write_protect = (cr0 & k_cr0_wp) != 0;
    controls.page_size_extension = (cr4 & k_cr4_pse) != 0;
    controls.no_execute = (efer & k_efer_nxe) != 0;
    controls.smep = (cr4 & k_cr4_smep) != 0;
    controls.smap = (cr4 & k_cr4_smap) != 0;
    controls.cr3 = cr3;
    if ((cr0 & k_cr0_pg) == 0) {
        controls.mode = PagingMode::none;
    } else if ((cr4 & k_cr4_pae) == 0) {
        controls.mode = PagingMode::bits32;
    } else {
        controls.mode = (efer & k_efer_lma) != 0 ? PagingMode::four_level : PagingMode::pae;
    }
    return controls;
}

namespace {

constexpr uint64_t range_mask(unsigned low, unsigned high) { return bits(~uint64_t{0}, 0, high - low + 1) << low; }

}  // namespace

bool pdpte_is_valid(uint64_t pdpte) {
    constexpr uint64_t k_reserved = range_mask(1, 2) | range_mask(5, 8) | range_mask(k_physical_address_bits, 63);
    return (pdpte & paging::k_present) == 0 || (pdpte & k_reserved) == 0;
}

namespace paging {

// SDM 3A, tables 4-4 (32-bit), 4-9..4-11 (PAE), 4-15..4-20 (4-level).
uint64_t reserved_bits(const PagingControls& controls, unsigned shift, bool large) {
    if (controls.mode == PagingMode::bits32) {
        return large ? bit(21) : 0;  // bits 20:13 are address bits 39:32 (PSE-36)
    }
    static_assert(k_physical_address_bits == 40, "PSE-36 leaves exactly bit 21 reserved");
    const bool four_level = controls.mode == PagingMode::four_level;
    uint64_t reserved = range_mask(k_physical_address_bits, four_level ? 51 : 62);
    if (!controls.no_execute) {
        reserved |= k_nx;
    }
    if (shift == 39) {
        reserved |= k_large;
    }
    if (large) {
        reserved |= range_mask(13, shift - 1);
    }
    return reserved;
}

uint64_t frame_of(PagingMode mode, uint64_t entry, unsigned shift, bool large) {
    if (mode == PagingMode::bits32) {
        return large ? (entry & 0xffc0'0000) | (bits(entry, 13, 8) << 32) : entry & 0xffff'f000;
    }
    return entry & k_address_mask & ~(bit(shift) - 1);
}

}  // namespace paging

}  // namespace skep::x86
