// SPDX-License-Identifier: GPL-3.0-or-later
// The controller itself: resets, interrupts, in-flight requests, saved state, and random access.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "devices/block/raw.hpp"
#include "tests/devices/storage/ahci_fixture.hpp"

namespace skep::test {
namespace {

using namespace ata;

struct AhciHbaTest : testing::Test, AhciMachine {
    AhciDriver driver{*this, bus, 0};
    AhciDriver cd{*this, bus, 1, 0x80000};
    AhciDriver::Command read{.command = k_read_dma_ext, .lba = 8, .count = 1, .bytes = 512};
    AhciHbaTest() { driver.start(); }
};

TEST_F(AhciHbaTest, Capabilities_Read_AreConsistent) {
    const uint32_t cap = driver.hba(ahci::k_cap);
    EXPECT_EQ(cap & 0x1f, 5U);
    EXPECT_EQ(cap >> 8 & 0x1f, 31U);
    EXPECT_EQ(driver.hba(ahci::k_pi), 0x3fU);
    EXPECT_EQ(driver.hba(ahci::k_vs), 0x00010301U);
    EXPECT_EQ(driver.hba(ahci::k_ghc), 0x80000002U);
    EXPECT_EQ(bus.config_read({0x1f, 2}, 0, 4), 0x29228086U);
    EXPECT_EQ(bus.config_read({0x1f, 2}, 8, 4) >> 8, 0x010601U);
}

TEST_F(AhciHbaTest, EmptyPort_Registers_SayNobodyIsThere) {
    AhciDriver empty(*this, bus, 4, 0x80000);
    empty.start_port();
    EXPECT_EQ(empty.reg(ahci::k_px_ssts), 0U);
    EXPECT_EQ(empty.reg(ahci::k_px_sig), 0xffffffffU);
    empty.issue(0, read);
    EXPECT_EQ(empty.reg(ahci::k_px_ci), 1U) << "nothing answers";
}

TEST_F(AhciHbaTest, Intx_Completion_RaisesAndAcknowledgeLowers) {
    driver.issue(0, read);
    EXPECT_FALSE(intx());
    disk->run();
    EXPECT_TRUE(intx());
    EXPECT_EQ(driver.hba(ahci::k_is), 1U);
    driver.set_hba(ahci::k_is, 1);
    EXPECT_TRUE(intx()) << "PxIS is still set";
    driver.set_reg(ahci::k_px_is, 0xffffffff);
    driver.set_hba(ahci::k_is, 1);
    EXPECT_FALSE(intx());
}

TEST_F(AhciHbaTest, Msi_Completions_SendOneMessageEachAcknowledge) {
    bus.config_write({0x1f, 2}, 0x44, 4, 0xfee00000);
    bus.config_write({0x1f, 2}, 0x4c, 2, 0x31);
    bus.config_write({0x1f, 2}, 0x42, 2, 1);
    driver.issue(0, read);
    disk->run();
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].data, 0x31U);
    EXPECT_FALSE(intx());
    driver.set_reg(ahci::k_px_is, 0xffffffff);
    driver.set_hba(ahci::k_is, 1);
    EXPECT_EQ(msis.messages.size(), 1U);
    driver.issue(0, read);
    disk->run();
    EXPECT_EQ(msis.messages.size(), 2U);
}

TEST_F(AhciHbaTest, Msi_NewCauseBetweenTheAcknowledges_IsToldAgain) {
    bus.config_write({0x1f, 2}, 0x42, 2, 1);
    driver.issue(0, read);
    disk->run();
    driver.set_reg(ahci::k_px_is, 0xffffffff);
    driver.issue(1, read);
    disk->run();
    EXPECT_EQ(msis.messages.size(), 1U) << "IS is still set";
    driver.set_hba(ahci::k_is, 1);
    EXPECT_EQ(msis.messages.size(), 2U);
}

TEST_F(AhciHbaTest, BusMasterOff_Commands_WaitForIt) {
    bus.config_write({0x1f, 2}, 4, 2, 2);
    driver.issue(0, read);
    EXPECT_EQ(disk->waiting(), 0U);
    bus.config_write({0x1f, 2}, 4, 2, 6);
    EXPECT_EQ(disk->waiting(), 1U);
}

TEST_F(AhciHbaTest, StopPort_CommandInFlight_CrStaysUntilTheHostIsDone) {
    driver.issue(0, read);
    driver.set_reg(ahci::k_px_cmd, ahci::k_cmd_fre);
    EXPECT_EQ(driver.reg(ahci::k_px_cmd) & ahci::k_cmd_cr, ahci::k_cmd_cr);
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_cmd) & ahci::k_cmd_cr, 0U);
    EXPECT_EQ(driver.reg(ahci::k_px_is) & ahci::k_is_dhrs, 0U) << "nobody hears of the old command";
    driver.start_port();
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
}

TEST_F(AhciHbaTest, HbaReset_CommandInFlight_HrStaysUntilTheHostIsDone) {
    driver.issue(0, read);
    driver.set_hba(ahci::k_ghc, ahci::k_ghc_hr);
    EXPECT_EQ(driver.hba(ahci::k_ghc) & 1U, 1U);
    disk->run();
    EXPECT_EQ(driver.hba(ahci::k_ghc), 0x80000000U);
    driver.set_hba(ahci::k_ghc, ahci::k_ghc_ie);
    driver.start_port();
    EXPECT_EQ(driver.reg(ahci::k_px_sig), 0x101U);
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
}

TEST_F(AhciHbaTest, Comreset_AfterAnError_BringsTheSignatureBack) {
    EXPECT_FALSE(driver.perform({.command = k_nop}));
    driver.comreset();
    EXPECT_EQ(driver.reg(ahci::k_px_sig), 0x101U);
    EXPECT_EQ(driver.reg(ahci::k_px_tfd), 0x150U);
    driver.start_port();
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
}

TEST_F(AhciHbaTest, SoftwareReset_SrstOnAndOff_BringsTheSignatureBack) {
    cd.start_port();
    cd.issue(0, {.control = k_status_drq >> 1, .fis_flags = 0});
    EXPECT_EQ(cd.reg(ahci::k_px_ci), 0U);
    EXPECT_EQ(cd.reg(ahci::k_px_tfd) & k_status_bsy, k_status_bsy);
    cd.issue(1, {.control = 0, .fis_flags = 0});
    EXPECT_EQ(cd.reg(ahci::k_px_tfd) & k_status_bsy, 0U);
    EXPECT_EQ(cd.reg(ahci::k_px_sig), 0xeb140101U);
}

TEST_F(AhciHbaTest, DeviceReset_InFlightAndHeld_EqualsPowerOnAndNeverWrites) {
    AhciMachine fresh;
    disk->fail_next(BlockOp::write, BlockStatus::no_space);
    driver.issue(0, {.command = k_write_dma_ext, .lba = 0, .count = 1, .bytes = 512, .write = true});
    disk->run();
    ASSERT_EQ(disk->held(), 1U);
    const std::vector<uint8_t> before = disk->data;
    ahci->reset();
    disk->retry();
    disk->run();
    EXPECT_EQ(disk->data, before);
    EXPECT_EQ(saved(), fresh.saved());
    EXPECT_FALSE(intx());
    driver.start();
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
}

TEST_F(AhciHbaTest, Pause_RequestsInFlight_AreFinishedAndNewOnesWait) {
    driver.prepare(0, read);
    driver.prepare(1, read);
    driver.set_reg(ahci::k_px_ci, 3);
    ahci->pause();
    EXPECT_EQ(disk->waiting(), 0U);
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 2U) << "the first has finished, the second not begun";
    ahci->resume();
    EXPECT_EQ(disk->waiting(), 1U);
    disk->run();
    EXPECT_EQ(driver.reg(ahci::k_px_ci), 0U);
}

TEST_F(AhciHbaTest, SaveLoadSave_WithAHeldQueuedWrite_IsEqualAndWritesAfterwards) {
    disk->fail_next(BlockOp::write, BlockStatus::no_space);
    driver.poke(driver.data_address(5), std::vector<uint8_t>(512, 0xe1));
    driver.prepare(5, {.command = k_write_fpdma_queued, .lba = 77, .features = 1, .bytes = 512, .write = true});
    driver.set_reg(ahci::k_px_sact, 1U << 5);
    driver.set_reg(ahci::k_px_ci, 1U << 5);
    ahci->pause();
    const std::vector<std::byte> first = saved();

    AhciMachine other;
    std::copy(memory->ram().begin(), memory->ram().end(), other.memory->ram().begin());
    StateReader reader(first);
    other.ahci->load(reader);
    EXPECT_TRUE(reader.ok()) << reader.status().error().message;
    EXPECT_TRUE(reader.at_end());
    EXPECT_EQ(other.saved(), first);
    other.ahci->resume();
    other.disk->run();
    EXPECT_EQ(other.disk->data[77 * 512], 0xe1);
    AhciDriver there(other, other.bus, 0);
    EXPECT_EQ(there.reg(ahci::k_px_sact), 0U);
}

TEST_F(AhciHbaTest, Load_RandomDamage_IsRefusedOrHarmless) {
    const std::vector<std::byte> good = saved();
    std::mt19937 random(5);
    for (unsigned round = 0; round < 300; ++round) {
        std::vector<std::byte> broken = good;
        for (unsigned i = 0; i < 6; ++i) {
            broken[random() % broken.size()] = static_cast<std::byte>(random());
        }
        broken.resize(broken.size() - random() % 20);
        StateReader reader(broken);
        ahci->load(reader);
        ahci->resume();
        disk->run();
    }
    ahci->reset();
    driver.start();
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
}

TEST_F(AhciHbaTest, Abar_EverySizeAndOffset_AgreesWithItsDwords) {
    for (unsigned offset = 0; offset < 0x500; ++offset) {
        for (const unsigned size : {1U, 2U, 4U, 8U}) {
            uint64_t expected = 0;
            for (unsigned i = 0; i < size; ++i) {
                const uint64_t at = AhciDriver::k_abar + offset + i;
                expected |= (mmio.read(at & ~3ULL, 4) >> ((at & 3) * 8) & 0xff) << (8 * i);
            }
            ASSERT_EQ(mmio.read(AhciDriver::k_abar + offset, size), expected) << offset << " " << size;
        }
    }
}

TEST_F(AhciHbaTest, RandomAccess_RegistersAndStructures_NeverBreaksTheController) {
    std::mt19937_64 random(11);
    constexpr uint64_t k_interesting[] = {0x10000, 0x80000, 0xffffffff, 0, 0xfe000000, 0x11, 1};
    for (unsigned i = 0; i < 100'000; ++i) {
        const uint64_t roll = random();
        const unsigned offset = roll % 3 == 0 ? roll >> 8 & 0xfff : 0x100 + (roll >> 8 & 1) * 0x80 + (roll >> 9 & 0x3f);
        const unsigned size = 1U << (roll >> 20 & 3);
        const uint64_t value = (roll >> 24 & 1) != 0 ? random() : k_interesting[(roll >> 25) % 7];
        switch (roll >> 40 & 7) {
            case 0: mmio.read(AhciDriver::k_abar + offset, size); break;
            case 1: memory->write(0x10000 + (roll >> 44 & 0xfff), &value, 8) ? void() : void(); break;
            case 2: driver.issue(roll >> 50 & 31, {.command = static_cast<uint8_t>(value), .lba = roll >> 56, .count = 1,
                                                   .features = 1, .bytes = 512}); break;
            case 3: cd.issue(roll >> 50 & 31, {.command = k_packet, .packet = {static_cast<uint8_t>(value), 0, 0, 0, 0, 1,
                                               0, 0, 1, 0, 0, 0}, .bytes = 2048}); break;
            case 4: disk->run(roll >> 60); medium->run(); break;
            default: mmio.write(AhciDriver::k_abar + offset, size, value); break;
        }
        if (i % 2000 == 0) {
            driver.start();
            cd.start_port();
        }
    }
    ahci->reset();
    driver.start();
    EXPECT_TRUE(driver.perform(read, [this] { disk->run(); }));
    EXPECT_EQ(driver.data(512), slice_of(disk->data, 4096, 512));
}

// A real image whose completions come from its own threads, resets in between; meant for the thread sanitizer.
TEST(AhciThreads, RealImage_CommandsAndResets_StayConsistent) {
    for (const IoMethod method : {IoMethod::automatic, IoMethod::threads}) {
        const std::string path = (std::filesystem::temp_directory_path() /
                                  ("skep-ahci-" + std::to_string(getpid()) + ".raw")).string();
        ASSERT_TRUE(create_raw_image(path, 1 << 20));
        auto image = RawImage::open(path, {.method = method});
        ASSERT_TRUE(image) << image.error().message;
        {
            FakeMachine machine;
            PciBus bus(machine.context);
            machine.context.pci = &bus;
            AhciController ahci(machine.context);
            ahci.attach_disk(0, *image, {"S", "M"});
            ahci.reset();
            AhciDriver driver(machine, bus, 0);
            const auto wait = [&] {
                while ((driver.reg(ahci::k_px_ci) | driver.reg(ahci::k_px_sact)) != 0 &&
                       (driver.reg(ahci::k_px_is) & ahci::k_is_tfes) == 0) {
                    std::this_thread::yield();
                }
            };
            driver.start();
            for (unsigned round = 0; round < 20; ++round) {
                for (unsigned slot = 0; slot < 8; ++slot) {
                    driver.prepare(slot, {.command = round % 2 == 0 ? k_write_fpdma_queued : k_read_fpdma_queued,
                                          .lba = slot * 8, .features = 8, .bytes = 4096});
                }
                driver.set_reg(ahci::k_px_sact, 0xff);
                driver.set_reg(ahci::k_px_ci, 0xff);
                if (round % 5 == 4) {
                    ahci.pause();
                    ahci.reset();
                    driver.start();
                } else {
                    wait();
                }
                ASSERT_TRUE(driver.perform({.command = k_flush_cache_ext}, wait));
            }
        }
        image->reset();
        std::filesystem::remove(path);
    }
}

}  // namespace
}  // namespace skep::test
