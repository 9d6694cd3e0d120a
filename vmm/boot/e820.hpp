// SPDX-License-Identifier: GPL-3.0-or-later
// The memory map as PC firmware reports it (INT 15h AX=E820h; ACPI 6.4, 15.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/boot/platform.hpp"

namespace skep {

enum class E820Type : uint32_t { ram = 1, reserved = 2, acpi = 3, nvs = 4 };

struct E820Entry {
    uint64_t start = 0;
    uint64_t size = 0;
    E820Type type = E820Type::ram;
};

// For firmware (fw_cfg "etc/e820"): where RAM is. The firmware takes out what it uses itself.
[[nodiscard]] std::vector<E820Entry> firmware_memory_map(const PlatformDescription& platform);
// For a kernel started without firmware: RAM less the legacy area, which holds the tables, plus the reserved windows.
// Sorted, without overlaps.
[[nodiscard]] std::vector<E820Entry> direct_boot_memory_map(const PlatformDescription& platform);
// 20 bytes an entry: address, size, type.
[[nodiscard]] std::vector<std::byte> e820_bytes(const std::vector<E820Entry>& entries);

}  // namespace skep
