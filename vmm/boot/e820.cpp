// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/e820.hpp"

#include <algorithm>

#include "vmm/boot/byte_writer.hpp"

namespace skep {
namespace {

constexpr uint64_t k_base_memory_end = 0x9'fc00;  // 639 KiB, as PCs with an EBDA report
constexpr uint64_t k_legacy_end = 0x10'0000;
constexpr uint64_t k_tables_start = 0xe'0000;
constexpr uint64_t k_ecam_bytes = 256 << 20;
constexpr uint64_t k_high_ram_start = 0x1'0000'0000;
constexpr uint64_t k_chipset_start = 0xfec0'0000;  // IO-APIC, HPET, RCBA, local APICs, firmware

}  // namespace

std::vector<E820Entry> firmware_memory_map(const PlatformDescription& platform) {
    std::vector<E820Entry> entries{{0, platform.low_ram_bytes, E820Type::ram}};
    if (platform.high_ram_bytes != 0) {
        entries.push_back({k_high_ram_start, platform.high_ram_bytes, E820Type::ram});
    }
    return entries;
}

std::vector<E820Entry> direct_boot_memory_map(const PlatformDescription& platform) {
    std::vector<E820Entry> entries{{0, std::min(k_base_memory_end, platform.low_ram_bytes), E820Type::ram},
                                   {k_base_memory_end, 0xa'0000 - k_base_memory_end, E820Type::reserved},
                                   {k_tables_start, k_legacy_end - k_tables_start, E820Type::reserved}};
    if (platform.low_ram_bytes > k_legacy_end) {
        entries.push_back({k_legacy_end, platform.low_ram_bytes - k_legacy_end, E820Type::ram});
    }
    entries.push_back({platform.ecam_base, k_ecam_bytes, E820Type::reserved});
    entries.push_back({k_chipset_start, k_high_ram_start - k_chipset_start, E820Type::reserved});
    if (platform.high_ram_bytes != 0) {
        entries.push_back({k_high_ram_start, platform.high_ram_bytes, E820Type::ram});
    }
    return entries;
}

std::vector<std::byte> e820_bytes(const std::vector<E820Entry>& entries) {
    ByteWriter out;
    for (const E820Entry& entry : entries) {
        out.u64(entry.start).u64(entry.size).u32(static_cast<uint32_t>(entry.type));
    }
    return out.take();
}

}  // namespace skep
