// SPDX-License-Identifier: GPL-3.0-or-later
// MBR, GPT and the EFI folder that tells an installed system from a mere partition.
#include "vmm/media/partitioning.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_sector = 512;
constexpr size_t k_partition = 64;  // of the EFI system partition, sectors

struct Disk {
    std::string bytes = std::string(4 << 20, '\0');

    void sign() { std::memcpy(&bytes[510], "\x55\xaa", 2); }
    void mbr_partition() {
        bytes[446 + 4] = '\xef';
        store_le<uint32_t>(&bytes[446 + 8], k_partition);
    }
    void gpt_partition() {
        std::memcpy(&bytes[k_sector], "EFI PART", 8);
        store_le<uint64_t>(&bytes[k_sector + 72], 2);
        const uint8_t type[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
        std::memcpy(&bytes[2 * k_sector + 128], type, sizeof type);  // the second entry
        store_le<uint64_t>(&bytes[2 * k_sector + 128 + 32], k_partition);
    }
    // An empty file system; returns where its root folder is.
    enum class Fat { fat16, fat32 };
    char* format(Fat kind) {
        char* boot = &bytes[k_partition * k_sector];
        store_le<uint16_t>(boot + 11, k_sector);
        boot[13] = 4;                      // sectors a cluster
        store_le<uint16_t>(boot + 14, 1);  // reserved
        boot[16] = 2;                      // tables
        if (kind == Fat::fat16) {
            store_le<uint16_t>(boot + 17, 64);
            store_le<uint16_t>(boot + 22, 3);
            return boot + (1 + 2 * 3) * k_sector;
        }
        store_le<uint32_t>(boot + 36, 5);
        store_le<uint32_t>(boot + 44, 3);
        return boot + (1 + 2 * 5 + 4) * k_sector;
    }
    static void add_folder(char* entry, const char* name) {
        std::memcpy(entry, name, 11);
        entry[11] = 0x10;
    }
    [[nodiscard]] StartsBy starts() const { return starts_by(MemorySource(std::as_bytes(std::span(bytes)))); }
};

TEST(Partitioning, empty_disk_starts_nothing) {
    Disk disk;
    EXPECT_FALSE(disk.starts().bios || disk.starts().uefi);
    EXPECT_FALSE(read_partitioning(MemorySource({})).present);
}

TEST(Partitioning, boot_code_counts_only_with_its_signature) {
    Disk disk;
    disk.bytes[0] = '\xeb';
    EXPECT_FALSE(disk.starts().bios);
    disk.sign();
    EXPECT_TRUE(disk.starts().bios);
}

TEST(Partitioning, efi_partition_counts_when_it_holds_the_folder) {
    for (const bool gpt : {false, true}) {
        for (const Disk::Fat kind : {Disk::Fat::fat16, Disk::Fat::fat32}) {
            Disk disk;
            disk.sign();
            gpt ? disk.gpt_partition() : disk.mbr_partition();
            EXPECT_FALSE(disk.starts().uefi) << "not formatted";
            char* root = disk.format(kind);
            EXPECT_FALSE(disk.starts().uefi) << "empty";
            Disk::add_folder(root, "LOST       ");
            Disk::add_folder(root + 32, "EFI        ");
            EXPECT_TRUE(disk.starts().uefi);
            root[32 + 11] = 0x20;
            EXPECT_FALSE(disk.starts().uefi) << "a file of that name";
        }
    }
}

TEST(Partitioning, nonsense_is_nothing_to_start_from) {
    Disk disk;
    disk.sign();
    disk.mbr_partition();
    char* boot = &disk.bytes[k_partition * k_sector];
    disk.format(Disk::Fat::fat32);
    store_le<uint32_t>(boot + 44, 0xffff'ffff);
    EXPECT_FALSE(disk.starts().uefi);
    store_le<uint32_t>(boot + 44, 0);
    EXPECT_FALSE(disk.starts().uefi);
    store_le<uint16_t>(boot + 11, 3);
    EXPECT_FALSE(disk.starts().uefi);
    store_le<uint32_t>(&disk.bytes[446 + 8], 0xffff'ffff);
    EXPECT_FALSE(disk.starts().uefi) << "beyond the end";
}

}  // namespace
}  // namespace skep
