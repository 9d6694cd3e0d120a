// SPDX-License-Identifier: GPL-3.0-or-later
// The machine's ACPI tables (ACPI 6.4, chapter 5), relocatable, and the two ways to the guest: through fw_cfg
// with a linker script that the firmware carries out, or straight into RAM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep::acpi {

enum class Blob : uint8_t { rsdp, tables };

// A field of 4 or 8 bytes that holds an offset into the tables blob and gets the blob's address added.
struct Pointer {
    Blob where = Blob::tables;
    uint32_t offset = 0;
    uint8_t size = 4;
};

// A zero byte at `offset` to be set so that the bytes [start, start+length) add up to 0.
struct Checksum {
    Blob where = Blob::tables;
    uint32_t offset = 0;
    uint32_t start = 0;
    uint32_t length = 0;
};

struct Tables {
    std::vector<std::byte> rsdp;    // 36 bytes, revision 2; 16-byte aligned in 0xe0000-0xfffff
    std::vector<std::byte> tables;  // FACS, DSDT, FADT, MADT, HPET, MCFG, WAET, RSDT, XSDT; 64-byte aligned
    std::vector<Pointer> pointers;
    std::vector<Checksum> checksums;  // in an order in which they may be computed after all pointers
};

inline constexpr uint32_t k_tables_alignment = 64;
inline constexpr uint32_t k_rsdp_alignment = 16;

[[nodiscard]] Tables build_tables(const PlatformDescription& platform);

// fw_cfg file "etc/table-loader" for the files "etc/acpi/rsdp" and "etc/acpi/tables"
// (QEMU's docs/specs and SeaBIOS' src/fw/romfile_loader.h describe the commands).
[[nodiscard]] std::vector<std::byte> table_loader_script(const Tables& tables);

// Resolves pointers and checksums for the tables at this address below 4 GiB: bytes ready to be copied.
// Nothing points at the RSDP.
[[nodiscard]] Tables relocated(Tables tables, GuestAddress tables_address);

}  // namespace skep::acpi
