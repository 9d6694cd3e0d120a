// SPDX-License-Identifier: GPL-3.0-or-later
// What a disk's image uses, what its guest uses of it, and what could be given back; and that discarding gives it back.
#include "devices/formats/guest_use.hpp"

#include "tests/devices/formats/formats_fixture.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_disk = 32 << 20;
constexpr uint64_t k_mib = 1 << 20;

// The parts of an ext4 that tell what it uses: blocks of 4 KiB in groups of 1024.
void put_ext4(std::vector<uint8_t>& disk, uint64_t at, uint32_t blocks, uint32_t free_in_each_group) {
    uint8_t* const super = &disk[at + 1024];
    store_le<uint32_t>(super + 0x04, blocks);
    store_le<uint32_t>(super + 0x0c, blocks - 1);  // free, says the superblock: that is old
    store_le<uint32_t>(super + 0x18, 2);
    store_le<uint32_t>(super + 0x20, 1024);
    store_le<uint16_t>(super + 0x38, 0xef53);
    store_le<uint32_t>(super + 0x60, 0x80);
    store_le<uint16_t>(super + 0xfe, 64);
    for (uint32_t group = 0; group < (blocks + 1023) / 1024; ++group) {
        store_le<uint16_t>(&disk[at + 4096 + group * 64 + 0x0c], static_cast<uint16_t>(free_in_each_group));
    }
}

void put_mbr_entry(std::vector<uint8_t>& disk, uint64_t table, unsigned entry, uint8_t type, uint32_t first, uint32_t sectors) {
    uint8_t* const at = &disk[table + 446 + entry * 16];
    at[4] = type;
    store_le<uint32_t>(at + 8, first);
    store_le<uint32_t>(at + 12, sectors);
    disk[table + 510] = 0x55;
    disk[table + 511] = 0xaa;
}

std::optional<GuestUse> use_of(const std::vector<uint8_t>& disk) {
    return read_guest_use(disk.size(), [&](uint64_t offset, std::span<uint8_t> to) {
        EXPECT_LE(offset + to.size(), disk.size());
        std::copy_n(disk.begin() + static_cast<ptrdiff_t>(offset), to.size(), to.begin());
        return true;
    });
}

constexpr uint64_t used_of(uint64_t blocks, uint64_t free_in_each_group) { return (blocks - blocks / 1024 * free_in_each_group) * 4096; }

TEST(GuestUse, DiskOfOneExt4_GroupsSayWhatIsUsed) {
    std::vector<uint8_t> disk(k_disk);
    put_ext4(disk, 0, 8192, 1000);
    EXPECT_EQ(use_of(disk), (GuestUse{1, used_of(8192, 1000), 0}));
}

TEST(GuestUse, MbrWithSwapAndLogicalPartition_OtherIsCountedApart) {
    std::vector<uint8_t> disk(k_disk);
    put_mbr_entry(disk, 0, 0, 0x83, 2048, 8 * 2048);
    put_mbr_entry(disk, 0, 1, 0x82, 9 * 2048, 4 * 2048);
    put_mbr_entry(disk, 0, 2, 0x05, 16 * 2048, 16 * 2048);
    put_ext4(disk, k_mib, 2048, 100);
    put_mbr_entry(disk, 16 * k_mib, 0, 0x83, 2048, 8 * 2048);
    put_ext4(disk, 17 * k_mib, 2048, 1024);
    EXPECT_EQ(use_of(disk), (GuestUse{2, used_of(2048, 100) + used_of(2048, 1024), 4 * k_mib}));
}

TEST(GuestUse, Gpt_PartitionsAreFound) {
    std::vector<uint8_t> disk(k_disk);
    std::memcpy(&disk[512], "EFI PART", 8);
    store_le<uint64_t>(&disk[512 + 72], 2);
    store_le<uint32_t>(&disk[512 + 80], 128);
    store_le<uint32_t>(&disk[512 + 84], 128);
    for (unsigned i = 0; i < 2; ++i) {
        disk[1024 + i * 128] = 1;
        store_le<uint64_t>(&disk[1024 + i * 128 + 32], 2048 + i * 4096);
        store_le<uint64_t>(&disk[1024 + i * 128 + 40], 2048 + i * 4096 + 4095);
    }
    put_mbr_entry(disk, 0, 0, 0xee, 1, k_disk / 512 - 1);
    put_ext4(disk, 3 * k_mib, 512, 0);
    EXPECT_EQ(use_of(disk), (GuestUse{1, 512 * 4096, 2 * k_mib}));
}

TEST(GuestUse, DiskWithoutKnownFileSystem_IsNotKnown) {
    std::vector<uint8_t> disk(k_disk);
    EXPECT_EQ(use_of(disk), std::nullopt);
    put_mbr_entry(disk, 0, 0, 0x07, 2048, 8 * 2048);
    EXPECT_EQ(use_of(disk), std::nullopt);
}

// Partitions on top of each other, chains of tables in a ring, sums that cannot be.
TEST(GuestUse, LyingGuest_NeverUsesMoreThanItsDisk) {
    std::vector<uint8_t> disk(k_disk);
    for (unsigned i = 0; i < 4; ++i) {
        put_mbr_entry(disk, 0, i, 0x83, 2048, k_disk / 512 - 2048);
    }
    put_ext4(disk, k_mib, 7000, 0);
    EXPECT_EQ(use_of(disk), std::nullopt) << "four times the same partition";
    std::fill(disk.begin(), disk.begin() + 512, uint8_t{0});
    put_mbr_entry(disk, 0, 0, 0x05, 1, 100);
    put_mbr_entry(disk, 512, 1, 0x05, 0xffffffff, 1);
    EXPECT_EQ(use_of(disk), std::nullopt) << "a ring";
    std::fill(disk.begin(), disk.begin() + 1024, uint8_t{0});
    put_ext4(disk, 0, 8192, 1000);
    std::mt19937 random(5);
    for (int i = 0; i < 20000; ++i) {
        std::vector<std::pair<size_t, uint8_t>> changed;
        for (unsigned n = 1 + random() % 3; n != 0; --n) {
            const size_t at = random() % 4 == 0 ? 4096 + random() % 512 : 1024 + random() % 0x160;
            changed.emplace_back(at, disk[at]);
            disk[at] = random() % 3 == 0 ? 0xff : static_cast<uint8_t>(random());
        }
        const auto use = use_of(disk);
        EXPECT_TRUE(!use || use->used_bytes + use->other_bytes <= k_disk);
        for (auto change = changed.rbegin(); change != changed.rend(); ++change) {
            disk[change->first] = change->second;
        }
    }
}

struct LedgerTest : testing::TestWithParam<const char*> {
    ScratchFolder folder;
    std::string path = folder.file(std::string("disk.") + GetParam());
    void SetUp() override {
        const bool is_raw = std::string(GetParam()) == "raw";
        ASSERT_TRUE(is_raw ? create_raw_image(path, k_disk) : create_qcow2_image(path, {.size = k_disk}));
    }
    [[nodiscard]] DiskLedger ledger() const {
        auto looked = look_at_image(path, in_folder(path));
        EXPECT_TRUE(looked) << looked.error().message;
        return looked ? *looked : DiskLedger{};
    }
};

TEST_P(LedgerTest, GuestDeletes_IsReclaimableUntilItDiscards) {
    std::vector<uint8_t> content(k_disk, 0x5a);
    std::fill_n(content.begin(), 64 << 10, uint8_t{0});
    put_ext4(content, 0, 8192, 768);  // a quarter is used
    {
        auto disk = open_image(path, in_folder(path));
        ASSERT_TRUE(disk);
        ASSERT_EQ(carry_out(**disk, transfer(BlockOp::write, 0, content)), BlockStatus::ok);
        ASSERT_EQ(carry_out(**disk, simple(BlockOp::flush)), BlockStatus::ok);
    }
    const DiskLedger full = ledger();
    EXPECT_EQ(full.disk_bytes, k_disk);
    EXPECT_GE(full.host_bytes, k_disk);
    ASSERT_TRUE(full.guest && full.reclaimable());
    EXPECT_EQ(full.guest->used_bytes, k_disk / 4);
    EXPECT_EQ(*full.reclaimable(), full.host_bytes - k_disk / 4);
    {
        auto disk = open_image(path, in_folder(path));
        ASSERT_TRUE(disk);
        ASSERT_EQ(carry_out(**disk, simple(BlockOp::discard, k_disk / 4, k_disk / 4 * 3)), BlockStatus::ok);
        ASSERT_EQ(carry_out(**disk, simple(BlockOp::flush)), BlockStatus::ok);
    }
    const DiskLedger trimmed = ledger();
    EXPECT_LE(trimmed.host_bytes, k_disk / 4 + k_mib);
    EXPECT_LE(*trimmed.reclaimable(), k_mib);
    EXPECT_EQ(trimmed.guest, full.guest);
}

INSTANTIATE_TEST_SUITE_P(Formats, LedgerTest, testing::Values("raw", "qcow2"), [](const auto& about) { return std::string(about.param); });

TEST(Ledger, Overlay_BaseIsNotItsOwn) {
    ScratchFolder folder;
    const std::string base = folder.file("base.raw"), over = folder.file("over.qcow2");
    std::vector<uint8_t> content(1 << 20);
    put_ext4(content, 0, 256, 0);
    put_file(base, content);
    ASSERT_TRUE(make_overlay(over, "base.raw"));
    const auto ledger = look_at_image(over, in_folder(over));
    ASSERT_TRUE(ledger) << ledger.error().message;
    EXPECT_LT(ledger->host_bytes, k_mib);
    EXPECT_EQ(ledger->reclaimable(), 0U);
}

}  // namespace
}  // namespace skep::test
