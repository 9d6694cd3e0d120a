// SPDX-License-Identifier: GPL-3.0-or-later
// The MP table, for kernels that do not read ACPI. After Intel's MultiProcessor Specification 1.4, chapter 4.
#pragma once

#include <cstddef>
#include <vector>

#include "vmm/boot/platform.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

// The configuration table; lists the processors with APIC ids below 255 that an 8-bit id can name.
[[nodiscard]] std::vector<std::byte> build_mp_table(const PlatformDescription& platform);
// The 16 bytes that point at it (4.1); 16-byte aligned in 0xf0000-0xfffff.
[[nodiscard]] std::vector<std::byte> mp_floating_pointer(uint32_t table_address);

}  // namespace skep
