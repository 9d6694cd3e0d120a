// SPDX-License-Identifier: GPL-3.0-or-later
// What firmware would have left behind for a kernel that is started without it: tables below 1 MiB, chipset registers.
#pragma once

#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

// Writes ACPI, SMBIOS and MP tables into the RAM at 0xe0000-0xfffff. Gives the address of the RSDP.
// Fails when there are more processors than the tables have room for (about 1000).
[[nodiscard]] Result<GuestAddress> place_direct_boot_tables(GuestMemory& memory, const PlatformDescription& platform);

struct PortWrite {
    uint16_t port = 0;
    uint8_t size = 1;  // bytes
    uint32_t value = 0;
};

// To be written to the port space, in order, after every reset and before the kernel starts: RAM instead of ROM at
// 0xc0000-0xfffff (Q35 PAM), the ECAM window, the ACPI register block, PIRQ routes and their ELCR bits (ICH9 LPC).
[[nodiscard]] std::vector<PortWrite> direct_boot_chipset_setup(const PlatformDescription& platform);

}  // namespace skep
