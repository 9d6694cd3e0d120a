// SPDX-License-Identifier: GPL-3.0-or-later
// Hard disk commands through the controller.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/devices/storage/ahci_fixture.hpp"

namespace skep::test {
namespace {

using namespace ata;
using Cmd = AhciDriver::Command;

struct AhciDiskTest : testing::Test, AhciMachine {
    AhciDriver driver{*this, bus, 0};
    std::function<void()> run = [this] { disk->run(); };
    AhciDiskTest() { driver.start(); }
};

TEST_F(AhciDiskTest, Signature_AfterReset_IsADisks) {
    EXPECT_EQ(driver.reg(ahci::k_px_ssts) & 0xf, 3U);
    EXPECT_EQ(driver.reg(ahci::k_px_sig), 0x00000101U);
    EXPECT_EQ(driver.reg(ahci::k_px_tfd) & 0x89, 0U);
    EXPECT_EQ(driver.received_fis(ahci::k_rfis_register)[0], 0x34);
}

TEST_F(AhciDiskTest, IdentifyDevice_Parsed_HasSizeModelNcqAndChecksum) {
    ASSERT_TRUE(driver.perform({.command = k_identify_device, .bytes = 512}));
    const std::vector<uint8_t> id = driver.data(512);
    EXPECT_EQ(load_le<uint64_t>(&id[200]), k_disk_size / 512);
    EXPECT_EQ(load_le<uint32_t>(&id[120]), k_disk_size / 512);
    std::string model;
    for (unsigned i = 54; i < 94; i += 2) {
        model += {static_cast<char>(id[i + 1]), static_cast<char>(id[i])};
    }
    EXPECT_EQ(model.substr(0, 10), "Skep Disk ");
    EXPECT_NE(id[152] | id[153] << 8, 0);
    EXPECT_EQ(id[510], 0xa5);
    EXPECT_EQ(std::accumulate(id.begin(), id.end(), 0) & 0xff, 0);
    EXPECT_EQ(driver.transferred(), 512U);
    EXPECT_EQ(driver.received_fis(ahci::k_rfis_pio_setup)[0], 0x5f) << "PIO in ends with a PIO setup FIS";
}

TEST_F(AhciDiskTest, IdentifyPacketDevice_OnADisk_Aborts) {
    EXPECT_FALSE(driver.perform({.command = k_identify_packet_device, .bytes = 512}));
    EXPECT_EQ(driver.last_error, k_error_abrt);
}

TEST_F(AhciDiskTest, ReadDmaExt_ManyPieces_ReturnsTheSectors) {
    ASSERT_TRUE(driver.perform({.command = k_read_dma_ext, .lba = 100, .count = 16, .bytes = 8192, .pieces = 8}, run));
    EXPECT_EQ(driver.data(8192), slice_of(disk->data, 51200, 8192));
    EXPECT_EQ(driver.transferred(), 8192U);
    EXPECT_EQ(driver.received_fis(ahci::k_rfis_register)[2], 0x50);
}

TEST_F(AhciDiskTest, ReadsAndWrites_EveryCommand_MoveTheRightBytes) {
    struct Case {
        uint8_t read;
        uint8_t write;
    };
    for (const Case& pair : {Case{k_read_dma, k_write_dma}, Case{k_read_dma_ext, k_write_dma_ext},
                             Case{k_read_sectors, k_write_sectors}, Case{k_read_sectors_ext, k_write_sectors_ext},
                             Case{k_read_multiple, k_write_multiple}, Case{k_read_multiple_ext, k_write_multiple_ext},
                             Case{k_read_dma_ext, k_write_dma_fua_ext}}) {
        std::vector<uint8_t> bytes(1024);
        std::iota(bytes.begin(), bytes.end(), pair.write);
        driver.poke(driver.data_address(), bytes);
        ASSERT_TRUE(driver.perform({.command = pair.write, .lba = 0x123, .count = 2, .bytes = 1024, .write = true}, run));
        EXPECT_EQ(slice_of(disk->data, 0x123 * 512, 1024), bytes) << std::hex << +pair.write;
        driver.poke(driver.data_address(), std::vector<uint8_t>(1024));
        ASSERT_TRUE(driver.perform({.command = pair.read, .lba = 0x123, .count = 2, .bytes = 1024}, run));
        EXPECT_EQ(driver.data(1024), bytes) << std::hex << +pair.read;
    }
}

TEST_F(AhciDiskTest, Lba28_TopNibble_ComesFromTheDeviceRegister) {
    EXPECT_FALSE(driver.perform({.command = k_read_dma, .count = 1, .device = 0x41, .bytes = 512}, run));
    EXPECT_EQ(driver.last_error & k_error_idnf, k_error_idnf);
}

TEST_F(AhciDiskTest, Read_BeyondTheEndOrZeroCountOverrun_IsRefused) {
    const uint64_t last = k_disk_size / 512 - 1;
    EXPECT_TRUE(driver.perform({.command = k_read_dma_ext, .lba = last, .count = 1, .bytes = 512}, run));
    EXPECT_FALSE(driver.perform({.command = k_read_dma_ext, .lba = last, .count = 2, .bytes = 1024}, run));
    EXPECT_FALSE(driver.perform({.command = k_read_dma_ext, .lba = ~uint64_t{0} >> 16, .count = 1, .bytes = 512}, run));
    EXPECT_FALSE(driver.perform({.command = k_read_dma_ext, .lba = 0, .count = 0, .bytes = 512}, run)) << "65536 sectors";
    EXPECT_TRUE(driver.perform({.command = k_read_dma_ext, .lba = 0, .count = 1, .bytes = 512}, run)) << "recovered";
}

TEST_F(AhciDiskTest, Read_HostError_SetsTheErrorAndKeepsTheSlot) {
    disk->fail_next(BlockOp::read, BlockStatus::io_error);
    driver.issue(3, {.command = k_read_dma_ext, .lba = 1, .count = 1, .bytes = 512});
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_tfes, ahci::k_is_tfes);
    EXPECT_EQ(driver.reg(ahci::k_px_tfd), 0x4051U);
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 8U);
    EXPECT_EQ(driver.reg(ahci::k_px_cmd) >> 8 & 0x1f, 3U) << "PxCMD.CCS";
    driver.recover();
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
}

TEST_F(AhciDiskTest, Flush_Completes_OnlyAfterTheHostHasFlushed) {
    driver.issue(0, {.command = k_flush_cache_ext});
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 1U);
    EXPECT_EQ(driver.reg(ahci::k_px_tfd) & k_status_bsy, k_status_bsy);
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
    EXPECT_EQ(disk->submitted[BlockOp::flush], 1U);
    disk->fail_next(BlockOp::flush, BlockStatus::io_error);
    EXPECT_FALSE(driver.perform({.command = k_flush_cache}, run));
}

TEST_F(AhciDiskTest, Ncq_ManySlotsOutOfOrder_AllComplete) {
    for (unsigned slot = 0; slot < 8; ++slot) {
        driver.prepare(slot, {.command = k_read_fpdma_queued, .lba = slot * 10, .features = 2, .bytes = 1024});
    }
    driver.set_reg(ahci::k_px_sact, 0xff);
    driver.set_reg(ahci::k_px_ci, 0xff);
    EXPECT_EQ(disk->waiting(), 8U);
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U) << "queued: PxCI is free, PxSACT is not";
    EXPECT_EQ(driver.reg(ahci::k_px_sact), 0xffU);
    disk->run_backwards();
    EXPECT_EQ(driver.reg(ahci::k_px_sact), 0U);
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_sdbs, ahci::k_is_sdbs);
    for (unsigned slot = 0; slot < 8; ++slot) {
        EXPECT_EQ(driver.data(1024, slot), slice_of(disk->data, slot * 5120, 1024)) << slot;
    }
}

TEST_F(AhciDiskTest, Ncq_OneFails_TheLogNamesItAndTheRestAreGivenUp) {
    for (unsigned slot = 0; slot < 3; ++slot) {
        driver.prepare(slot, {.command = k_read_fpdma_queued, .lba = slot, .features = 1, .bytes = 512});
    }
    driver.set_reg(ahci::k_px_sact, 7);
    driver.set_reg(ahci::k_px_ci, 7);
    disk->run(1);
    disk->fail_next(BlockOp::read, BlockStatus::io_error);
    disk->run(1);
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_tfes, ahci::k_is_tfes);
    EXPECT_EQ(driver.reg(ahci::k_px_sact), 6U);
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_sact), 6U) << "the third was given up";
    driver.recover();
    EXPECT_EQ(driver.reg(ahci::k_px_sact), 0U);
    ASSERT_TRUE(driver.perform({.command = k_read_log_ext, .lba = 0x10, .count = 1, .bytes = 512}));
    const std::vector<uint8_t> log = driver.data(512);
    EXPECT_EQ(log[0], 1);
    EXPECT_EQ(log[3], k_error_unc);
    EXPECT_EQ(std::accumulate(log.begin(), log.end(), 0) & 0xff, 0);
}

TEST_F(AhciDiskTest, WriteCacheOff_Writes_AreDurable) {
    ASSERT_TRUE(driver.perform({.command = k_set_features, .features = 0x82}, run));
    EXPECT_EQ(disk->submitted[BlockOp::flush], 1U);
    ASSERT_TRUE(driver.perform({.command = k_identify_device, .bytes = 512}));
    EXPECT_EQ(driver.data(512)[170] & 0x20, 0) << "word 85: cache off";
    ASSERT_TRUE(driver.perform({.command = k_set_features, .features = 0x02}, run));
    ASSERT_TRUE(driver.perform({.command = k_identify_device, .bytes = 512}));
    EXPECT_EQ(driver.data(512)[170] & 0x20, 0x20);
}

TEST_F(AhciDiskTest, Trim_Ranges_AreDiscardedAndMerged) {
    std::vector<uint8_t> list(512);
    store_le<uint64_t>(&list[0], 10 | uint64_t{5} << 48);
    store_le<uint64_t>(&list[8], 15 | uint64_t{5} << 48);
    store_le<uint64_t>(&list[16], 100 | uint64_t{1} << 48);
    driver.poke(driver.data_address(), list);
    ASSERT_TRUE(driver.perform(
        {.command = k_data_set_management, .count = 1, .features = 1, .bytes = 512, .write = true}, run));
    EXPECT_EQ(disk->submitted[BlockOp::discard], 2U);
    EXPECT_EQ(slice_of(disk->data, 5120, 5120), std::vector<uint8_t>(5120));
    EXPECT_EQ(slice_of(disk->data, 51200, 512), std::vector<uint8_t>(512));
    store_le<uint64_t>(&list[0], (k_disk_size / 512) | uint64_t{5} << 48);
    driver.poke(driver.data_address(), list);
    EXPECT_FALSE(driver.perform(
        {.command = k_data_set_management, .count = 1, .features = 1, .bytes = 512, .write = true}, run));
}

TEST_F(AhciDiskTest, SmallCommands_Answer_AsTheStandardSays) {
    EXPECT_TRUE(driver.perform({.command = k_check_power_mode}));
    EXPECT_EQ(driver.received_fis(ahci::k_rfis_register)[12], 0xff);
    EXPECT_TRUE(driver.perform({.command = k_set_features, .count = 0x45, .features = 0x03}));
    EXPECT_TRUE(driver.perform({.command = k_standby_immediate}, run));
    EXPECT_TRUE(driver.perform({.command = k_read_verify_ext, .lba = 5, .count = 9}));
    EXPECT_FALSE(driver.perform({.command = k_read_verify_ext, .lba = k_disk_size, .count = 9}));
    EXPECT_TRUE(driver.perform({.command = k_smart, .lba = 0xc24f00, .features = 0xda}));
    EXPECT_EQ(driver.received_fis(ahci::k_rfis_register)[5], 0x4f);
    EXPECT_FALSE(driver.perform({.command = k_smart, .lba = 0, .features = 0xda}));
    EXPECT_FALSE(driver.perform({.command = k_set_multiple, .count = 17}));
    EXPECT_FALSE(driver.perform({.command = k_nop}));
    EXPECT_FALSE(driver.perform({.command = k_packet, .packet = std::vector<uint8_t>(12), .bytes = 512}));
    EXPECT_FALSE(driver.perform({.command = 0xf5})) << "no security feature set";
}

TEST_F(AhciDiskTest, NoSpace_HeldWrite_CompletesAfterRetry) {
    disk->fail_next(BlockOp::write, BlockStatus::no_space);
    driver.issue(0, {.command = k_write_dma_ext, .lba = 1, .count = 1, .bytes = 512, .write = true});
    disk->run();
    ASSERT_EQ(requests.requests.size(), 1U);
    EXPECT_EQ(requests.requests[0].what, MachineRequest::pause_no_space);
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 1U);
    disk->retry();
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
}

TEST_F(AhciDiskTest, Prds_OutsideMemoryOrTooMany_AreABusError) {
    driver.prepare(0, {.command = k_read_dma_ext, .lba = 0, .count = 1, .bytes = 512});
    std::array<uint8_t, 8> nowhere{};
    store_le<uint64_t>(nowhere.data(), 0xfe00'0000);
    driver.poke(driver.table_address(0) + 0x80, nowhere);
    driver.set_reg(ahci::k_px_ci, 1);
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_hbfs, ahci::k_is_hbfs);
    EXPECT_EQ(disk->waiting(), 0U);
    driver.recover();
    driver.prepare(0, {.command = k_read_dma_ext, .lba = 0, .count = 1, .bytes = 512});
    driver.poke(0x10002, std::array<uint8_t, 2>{0xff, 0xff});
    driver.set_reg(ahci::k_px_ci, 1);
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_ifs, ahci::k_is_ifs);
    driver.recover();
    EXPECT_TRUE(driver.perform({.command = k_read_dma_ext, .lba = 0, .count = 1, .bytes = 512}, run));
}

}  // namespace
}  // namespace skep::test
