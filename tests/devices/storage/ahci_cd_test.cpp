// SPDX-License-Identifier: GPL-3.0-or-later
// The ATAPI CD drive through the controller.
#include <gtest/gtest.h>

#include "devices/storage/atapi_cd.hpp"
#include "tests/devices/storage/ahci_fixture.hpp"

namespace skep::test {
namespace {

using namespace ata;

struct AhciCdTest : testing::Test, AhciMachine {
    AhciDriver driver{*this, bus, 1};
    std::function<void()> run = [this] { medium->run(); };
    AhciCdTest() { driver.start(); }

    std::vector<uint8_t> ask(std::vector<uint8_t> cdb, uint32_t bytes) {
        EXPECT_TRUE(driver.packet(std::move(cdb), bytes, run));
        return driver.data(driver.transferred());
    }
    // Key << 16 | code << 8 | qualifier.
    uint32_t sense() {
        const std::vector<uint8_t> data = ask({0x03, 0, 0, 0, 18}, 18);
        return uint32_t{data.at(2)} << 16 | uint32_t{data.at(12)} << 8 | data.at(13);
    }
};

TEST_F(AhciCdTest, Signature_AfterReset_IsAPacketDevices) {
    EXPECT_EQ(driver.reg(ahci::k_px_sig), 0xeb140101U);
    EXPECT_EQ(driver.reg(ahci::k_px_tfd) & 0x89, 0U);
}

TEST_F(AhciCdTest, Identify_PacketWorksAndDeviceAbortsWithTheSignature) {
    ASSERT_TRUE(driver.perform({.command = k_identify_packet_device, .bytes = 512}));
    EXPECT_EQ(driver.data(2), (std::vector<uint8_t>{0xc0, 0x85}));
    EXPECT_FALSE(driver.perform({.command = k_identify_device, .bytes = 512}));
    const std::vector<uint8_t> fis = driver.received_fis(ahci::k_rfis_register);
    EXPECT_EQ(fis[5], 0x14);
    EXPECT_EQ(fis[6], 0xeb);
    EXPECT_FALSE(driver.perform({.command = k_read_dma_ext, .count = 1, .bytes = 512}));
}

TEST_F(AhciCdTest, InquiryCapacityAndReady_Medium_IsDescribed) {
    const std::vector<uint8_t> inquiry = ask({0x12, 0, 0, 0, 36}, 36);
    EXPECT_EQ(inquiry[0], 5);
    EXPECT_EQ(inquiry[1], 0x80);
    EXPECT_TRUE(driver.packet({0x00}, 0));
    const std::vector<uint8_t> capacity = ask({0x25}, 8);
    EXPECT_EQ(load_be<uint32_t>(&capacity[0]), k_cd_size / 2048 - 1);
    EXPECT_EQ(load_be<uint32_t>(&capacity[4]), 2048U);
}

TEST_F(AhciCdTest, Read_TenTwelveAndCd_ReturnTheSectors) {
    const std::vector<uint8_t> expected = slice_of(medium->data, 16 * 2048, 4096);
    EXPECT_EQ(ask({0x28, 0, 0, 0, 0, 16, 0, 0, 2}, 4096), expected);
    EXPECT_EQ(ask({0xa8, 0, 0, 0, 0, 16, 0, 0, 0, 2}, 4096), expected);
    EXPECT_EQ(ask({0xbe, 0, 0, 0, 0, 16, 0, 0, 2, 0x10}, 4096), expected);
    EXPECT_TRUE(driver.packet({0x28, 0, 0, 0, 0, 16}, 4096)) << "no sectors";
}

TEST_F(AhciCdTest, Read_BeyondTheEndOrWithoutRoom_HasItsSense) {
    EXPECT_FALSE(driver.packet({0x28, 0, 0, 0, 1, 0x2b, 0, 0, 2}, 4096, run));
    EXPECT_EQ(driver.last_error >> 4, 5);
    EXPECT_EQ(sense(), 0x052100U);
    EXPECT_EQ(sense(), 0U) << "sense is given once";
    EXPECT_FALSE(driver.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 3}, 4096, run));
    EXPECT_EQ(sense(), 0x052400U);
    EXPECT_FALSE(driver.packet({0xa8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 4096, run));
    EXPECT_EQ(sense(), 0x052100U);
    medium->fail_next(BlockOp::read, BlockStatus::io_error);
    EXPECT_FALSE(driver.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 4096, run));
    EXPECT_EQ(sense(), 0x031100U);
    EXPECT_FALSE(driver.packet({0xa4}, 64));
    EXPECT_EQ(sense(), 0x052000U);
}

TEST_F(AhciCdTest, Toc_FormatsAndMsf_DescribeOneDataTrack) {
    const std::vector<uint8_t> lba = ask({0x43, 0, 0, 0, 0, 0, 0, 0, 255}, 256);
    EXPECT_EQ(lba, (std::vector<uint8_t>{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 1, 0x2c}));
    const std::vector<uint8_t> msf = ask({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255}, 256);
    EXPECT_EQ(msf, (std::vector<uint8_t>{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 6, 0}));  // 300 + 150 sectors: 00:06:00
    EXPECT_EQ(ask({0x43, 0, 1, 0, 0, 0, 0, 0, 255}, 256).size(), 12U);
    EXPECT_EQ(ask({0x43, 2, 2, 0, 0, 0, 0, 0, 255}, 256).size(), 48U);
    EXPECT_EQ(ask({0x43, 0, 0, 0, 0, 0, 0, 0, 4}, 256).size(), 4U) << "the allocation length holds";
    EXPECT_FALSE(driver.packet({0x43, 0, 5, 0, 0, 0, 0, 0, 255}, 256));
}

TEST_F(AhciCdTest, ConfigurationAndInformation_Medium_IsACd) {
    const std::vector<uint8_t> all = ask({0x46, 0, 0, 0, 0, 0, 0, 1, 0}, 256);
    EXPECT_EQ(load_be<uint32_t>(all.data()), all.size() - 4);
    EXPECT_EQ(load_be<uint16_t>(&all[6]), 8U);
    EXPECT_EQ(ask({0x46, 2, 0, 3, 0, 0, 0, 1, 0}, 256).size(), 16U);
    EXPECT_EQ(ask({0x51, 0, 0, 0, 0, 0, 0, 0, 34}, 34)[2], 0x0e);
    EXPECT_EQ(ask({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255}, 256)[8], 0x2a);
    EXPECT_EQ(ask({0x1a, 0, 0x3f, 0, 255}, 256)[4], 0x01);
    EXPECT_FALSE(driver.packet({0x5a, 0, 0x0d, 0, 0, 0, 0, 0, 255}, 256));
    EXPECT_EQ(ask({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 8).size(), 8U);
    EXPECT_TRUE(driver.packet({0xbb}, 0));
}

TEST_F(AhciCdTest, ChangeMedium_WhileRunning_IsAttentionedOnceAndReadsTheNewOne) {
    auto next = std::make_shared<MemoryBlock>(100 * 2048, 2048, true);
    next->data[0] = 0x99;
    EXPECT_TRUE(driver.packet({0x1e, 0, 0, 0, 1}, 0)) << "the guest locks the tray";
    ASSERT_TRUE(ahci->change_cd(1, next));
    EXPECT_EQ(ask({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, 8), (std::vector<uint8_t>{0, 6, 4, 0x10, 2, 2, 0, 0}));
    EXPECT_FALSE(driver.packet({0x00}, 0));
    EXPECT_EQ(sense(), 0x062800U);
    EXPECT_TRUE(driver.packet({0x00}, 0));
    ASSERT_TRUE(driver.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 2048, [&] { next->run(); }));
    EXPECT_EQ(driver.data(1)[0], 0x99);
}

TEST_F(AhciCdTest, Ejected_ByTheHost_HasNoMedium) {
    ASSERT_TRUE(ahci->change_cd(1, nullptr));
    EXPECT_FALSE(driver.packet({0x00}, 0));
    EXPECT_EQ(sense(), 0x023a01U);
    EXPECT_FALSE(driver.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 2048));
    EXPECT_EQ(ask({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, 8)[4], 3) << "medium removal";
    EXPECT_FALSE(ahci->change_cd(0, nullptr)) << "a disk is not a CD drive";
    EXPECT_FALSE(ahci->change_cd(5, nullptr));
}

TEST_F(AhciCdTest, StartStop_EjectAndLoadByTheGuest_RespectsTheLock) {
    EXPECT_TRUE(driver.packet({0x1e, 0, 0, 0, 1}, 0));
    EXPECT_FALSE(driver.packet({0x1b, 0, 0, 0, 2}, 0));
    EXPECT_EQ(sense(), 0x055302U);
    EXPECT_TRUE(driver.packet({0x1e, 0, 0, 0, 0}, 0));
    EXPECT_TRUE(driver.packet({0x1b, 0, 0, 0, 2}, 0));
    EXPECT_FALSE(driver.packet({0x00}, 0));
    EXPECT_EQ(sense(), 0x023a02U) << "tray open";
    EXPECT_TRUE(driver.packet({0x1b, 0, 0, 0, 3}, 0));
    EXPECT_FALSE(driver.packet({0x00}, 0)) << "the medium may have changed";
    EXPECT_EQ(sense(), 0x062800U);
    EXPECT_TRUE(driver.packet({0x00}, 0));
}

TEST_F(AhciCdTest, ChangeMedium_WithAReadInFlight_LetsItFinishFirst) {
    AhciDriver::Command read{.command = k_packet, .features = 1, .packet = {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0},
                             .bytes = 2048};
    driver.issue(0, read);
    std::weak_ptr<MemoryBlock> old = medium;
    EXPECT_EQ(medium->waiting(), 1U);
    medium.reset();
    ASSERT_TRUE(ahci->change_cd(1, nullptr));
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
    EXPECT_TRUE(old.expired());
}

TEST(CdToc, LargeDisc_LeadOutAddress_IsItsSize) {
    const std::vector<uint8_t> toc = cd_table_of_contents(0, 0, false, 2'295'104);
    EXPECT_EQ(load_be<uint32_t>(&toc[16]), 2'295'104U);
}

}  // namespace
}  // namespace skep::test
