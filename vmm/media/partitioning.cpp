// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/media/partitioning.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_sector = 512;

void add_gpt_partitions(const ByteSource& disk, std::vector<uint64_t>& found) {
    // C12A7328-F81F-11D2-BA4B-00A0C93EC93B as it lies on disk
    constexpr std::array<uint8_t, 16> k_efi_system{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                                   0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
    constexpr size_t k_entry = 128, k_entries = 128, k_first_lba = 32;
    const auto header = disk.read_block(k_sector, k_sector);
    if (!header || std::memcmp(header->data(), "EFI PART", 8) != 0) {
        return;
    }
    const uint64_t sectors = disk.size() / k_sector;
    const auto table = load_le<uint64_t>(header->data() + 72);
    if (table >= sectors) {
        return;
    }
    const auto entries = disk.read_block(table * k_sector, k_entry * k_entries);
    for (size_t i = 0; entries && i < k_entries; ++i) {
        const std::byte* entry = entries->data() + i * k_entry;
        const auto first = load_le<uint64_t>(entry + k_first_lba);
        if (std::memcmp(entry, k_efi_system.data(), k_efi_system.size()) == 0 && first < sectors) {
            found.push_back(first * k_sector);
        }
    }
}

// Whether a FAT file system's root folder has a folder EFI (Microsoft FAT specification 1.03, 3 and 6).
bool has_efi_folder(const ByteSource& disk, uint64_t partition) {
    const auto boot = disk.read_block(partition, k_sector);
    if (!boot) {
        return false;
    }
    const uint64_t sector = load_le<uint16_t>(boot->data() + 11);
    const uint64_t cluster_sectors = std::to_integer<uint64_t>((*boot)[13]);
    const uint64_t reserved = load_le<uint16_t>(boot->data() + 14);
    const uint64_t tables = std::to_integer<uint64_t>((*boot)[16]);
    const uint64_t root_entries = load_le<uint16_t>(boot->data() + 17);
    const uint64_t small_table = load_le<uint16_t>(boot->data() + 22);
    if (!is_power_of_two(sector) || sector < k_sector || sector > 4096 || !is_power_of_two(cluster_sectors) || tables == 0) {
        return false;
    }
    const bool fat32 = small_table == 0;
    const uint64_t table = fat32 ? load_le<uint32_t>(boot->data() + 36) : small_table;
    const uint64_t root_cluster = fat32 ? load_le<uint32_t>(boot->data() + 44) : 2;
    if (root_cluster < 2) {
        return false;
    }
    // The root folder of FAT32 is a chain of clusters, of which the first will do: EFI is made first.
    const uint64_t root = partition + (reserved + tables * table + (root_cluster - 2) * cluster_sectors) * sector;
    constexpr size_t k_entry = 32, k_attributes = 11, k_most_entries = 512;
    constexpr std::byte k_folder{0x10};
    const uint64_t entries = std::min<uint64_t>(fat32 ? cluster_sectors * sector / k_entry : root_entries, k_most_entries);
    if (root >= disk.size()) {
        return false;
    }
    const auto folder = disk.read_block(root, entries * k_entry);
    for (size_t i = 0; folder && i < entries; ++i) {
        const std::byte* entry = folder->data() + i * k_entry;
        if (std::memcmp(entry, "EFI        ", 11) == 0 && (entry[k_attributes] & k_folder) != std::byte{0}) {
            return true;
        }
    }
    return false;
}

}  // namespace

Partitioning read_partitioning(const ByteSource& disk) {
    constexpr size_t k_signature = 510, k_code_bytes = 440, k_partitions = 446, k_partition_bytes = 16, k_type = 4, k_first = 8;
    constexpr std::byte k_efi_system{0xef};
    Partitioning found;
    const auto mbr = disk.read_block(0, k_sector);
    if (!mbr || (*mbr)[k_signature] != std::byte{0x55} || (*mbr)[k_signature + 1] != std::byte{0xaa}) {
        return found;
    }
    found.present = true;
    found.has_boot_code = std::any_of(mbr->begin(), mbr->begin() + k_code_bytes, [](std::byte value) { return value != std::byte{0}; });
    for (size_t i = 0; i < 4; ++i) {
        const std::byte* entry = mbr->data() + k_partitions + i * k_partition_bytes;
        if (entry[k_type] == k_efi_system) {
            found.efi_system.push_back(uint64_t{load_le<uint32_t>(entry + k_first)} * k_sector);
        }
    }
    add_gpt_partitions(disk, found.efi_system);
    return found;
}

StartsBy starts_by(const ByteSource& disk) {
    const Partitioning partitioning = read_partitioning(disk);
    const bool loader = std::ranges::any_of(partitioning.efi_system, [&](uint64_t at) { return has_efi_folder(disk, at); });
    return {.bios = partitioning.has_boot_code, .uefi = loader};
}

}  // namespace skep
