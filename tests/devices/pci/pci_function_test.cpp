// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <random>

#include "devices/pci/intx.hpp"
#include "tests/devices/pci/pci_fixture.hpp"

namespace skep::test {
namespace {

constexpr PciAddress k_probe{3, 0};
constexpr unsigned k_msix = 0x40;
constexpr unsigned k_msi = 0x4c;

struct PciFunctionTest : testing::Test, PciMachine {
    ProbeFunction probe{context};
    PciFunctionTest() { probe.reset(); }

    void map_everything() {
        write(k_probe, 0x10, 0xc000);
        write(k_probe, 0x14, 0xc0000000);
        write(k_probe, 0x18, 0x00000000);
        write(k_probe, 0x1c, 0x00000010);
        write(k_probe, 0x20, 0xc0010000);
        write(k_probe, 0x04, 0x7, 2);
    }
    std::vector<std::byte> saved() {
        StateWriter writer;
        probe.save(writer);
        return writer.bytes();
    }
};

TEST_F(PciFunctionTest, BarSizing_AllOnesWritten_ReadsSizeAndType) {
    for (unsigned at = 0x10; at <= 0x24; at += 4) {
        write(k_probe, at, 0xffffffff);
    }
    EXPECT_EQ(read(k_probe, 0x10), 0xffffffe1U);
    EXPECT_EQ(read(k_probe, 0x14), 0xfffff000U);
    EXPECT_EQ(read(k_probe, 0x18), 0xffff000cU);
    EXPECT_EQ(read(k_probe, 0x1c), 0xffffffffU);
    EXPECT_EQ(read(k_probe, 0x20), 0xffffc000U);
    EXPECT_EQ(read(k_probe, 0x24), 0U);
    EXPECT_EQ(read(k_probe, 0x30), 0U) << "no expansion ROM";
}

TEST_F(PciFunctionTest, Bars_CommandOnAndOff_AnswerAndVanish) {
    map_everything();
    EXPECT_EQ(ports.read(0xc004, 4), 0x4U);
    EXPECT_EQ(mmio.read(0xc0000010, 4), 0x01000010U);
    EXPECT_EQ(mmio.read(0x10'0000'0020, 8), 0x02000020U);
    mmio.write(0x10'0000'0028, 8, 0x1122334455667788);
    ASSERT_EQ(probe.writes.size(), 1U);
    EXPECT_EQ(probe.writes[0].second, 0x1122334455667788U);
    write(k_probe, 0x04, 0x1, 2);
    EXPECT_EQ(mmio.read(0xc0000010, 4), 0xffffffffU);
    EXPECT_EQ(ports.read(0xc004, 4), 0x4U);
    EXPECT_EQ(probe.bar_address(1), std::nullopt);
}

TEST_F(PciFunctionTest, Bar_MovedWhileEnabled_AnswersAtTheNewPlaceOnly) {
    map_everything();
    write(k_probe, 0x14, 0xd0000000);
    EXPECT_EQ(mmio.read(0xc0000010, 4), 0xffffffffU);
    EXPECT_EQ(mmio.read(0xd0000010, 4), 0x01000010U);
    write(k_probe, 0x14, 0xffffffff);
    EXPECT_EQ(probe.bar_address(1), std::nullopt) << "sizing must not claim the top of memory";
}

TEST_F(PciFunctionTest, Capabilities_ChainWalked_FindsMsixAndMsi) {
    EXPECT_EQ(read(k_probe, 0x06, 2) & 0x10U, 0x10U);
    EXPECT_EQ(read(k_probe, 0x34, 1), k_msix);
    EXPECT_EQ(read(k_probe, k_msix, 2), k_msi << 8 | 0x11U);
    EXPECT_EQ(read(k_probe, k_msi, 2), 0x05U);
    EXPECT_EQ(read(k_probe, k_msix + 2, 2), ProbeFunction::k_vectors - 1);
    EXPECT_EQ(read(k_probe, k_msix + 4), 0x1000U | ProbeFunction::k_msix_bar);
}

TEST_F(PciFunctionTest, Identity_Written_DoesNotChange) {
    write(k_probe, 0x00, 0);
    write(k_probe, 0x08, 0);
    write(k_probe, 0x2c, 0);
    write(k_probe, 0x34, 0);
    EXPECT_EQ(read(k_probe, 0x00), 0x10ff1af4U);
    EXPECT_EQ(read(k_probe, 0x08), 0x08800007U);
    EXPECT_EQ(read(k_probe, 0x2c), 0x11001af4U);
    EXPECT_EQ(read(k_probe, 0x34), k_msix);
}

TEST_F(PciFunctionTest, Msi_Enabled_SendsWithVectorInData) {
    write(k_probe, 0x04, 0x7, 2);
    write(k_probe, k_msi + 4, 0xfee01000);
    write(k_probe, k_msi + 0xc, 0x4043, 2);
    write(k_probe, k_msi + 2, 0x0021, 2);  // on, four vectors
    probe.notify_message(2);
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].address, 0xfee01000U);
    EXPECT_EQ(msis.messages[0].data, 0x4042U);
}

TEST_F(PciFunctionTest, Msi_MaskedThenUnmasked_SendsOnce) {
    write(k_probe, 0x04, 0x4, 2);
    write(k_probe, k_msi + 0x10, 1);
    write(k_probe, k_msi + 2, 0x0001, 2);
    probe.notify_message(0);
    probe.notify_message(0);
    EXPECT_TRUE(msis.messages.empty());
    EXPECT_EQ(read(k_probe, k_msi + 0x14), 1U);
    write(k_probe, k_msi + 0x10, 0);
    EXPECT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(read(k_probe, k_msi + 0x14), 0U);
}

TEST_F(PciFunctionTest, Message_WithoutBusMaster_IsNotSent) {
    write(k_probe, k_msi + 2, 0x0001, 2);
    probe.notify_message(0);
    EXPECT_TRUE(msis.messages.empty());
}

TEST_F(PciFunctionTest, Msix_EntryMaskedPendsAndUnmaskSends_FunctionMaskToo) {
    map_everything();
    const uint64_t table = 0xc0011000;
    const uint64_t pba = 0xc0012000;
    write(k_probe, k_msix + 2, 0x8000, 2);
    mmio.write(table + 16 * 65, 4, 0xfee00000);
    mmio.write(table + 16 * 65 + 8, 4, 0x55);
    EXPECT_EQ(mmio.read(table + 16 * 65 + 12, 4), 1U) << "masked after reset";
    probe.notify_message(65);
    EXPECT_TRUE(msis.messages.empty());
    EXPECT_EQ(mmio.read(pba + 8, 4), 2U);
    write(k_probe, k_msix + 2, 0xc000, 2);
    mmio.write(table + 16 * 65 + 12, 4, 0);
    EXPECT_TRUE(msis.messages.empty()) << "function mask";
    write(k_probe, k_msix + 2, 0x8000, 2);
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].data, 0x55U);
    EXPECT_EQ(mmio.read(pba + 8, 4), 0U);
    probe.notify_message(65);
    EXPECT_EQ(msis.messages.size(), 2U);
    probe.notify_message(ProbeFunction::k_vectors);
    EXPECT_EQ(msis.messages.size(), 2U) << "no such vector";
}

TEST_F(PciFunctionTest, Intx_DisabledOrMessagesOn_LeavesTheWire) {
    const unsigned gsi = intx_gsi(3, 0);
    probe.set_intx(true);
    EXPECT_TRUE(irqs.levels[gsi]);
    EXPECT_EQ(read(k_probe, 0x06, 2) & 8U, 8U);
    write(k_probe, 0x04, 0x400, 2);
    EXPECT_FALSE(irqs.levels[gsi]);
    EXPECT_EQ(read(k_probe, 0x06, 2) & 8U, 8U) << "the status bit shows the condition all the same";
    write(k_probe, 0x04, 0, 2);
    EXPECT_TRUE(irqs.levels[gsi]);
    write(k_probe, k_msix + 2, 0x8000, 2);
    EXPECT_FALSE(irqs.levels[gsi]);
    probe.reset();
    EXPECT_FALSE(irqs.levels[gsi]);
}

TEST_F(PciFunctionTest, Reset_AfterRandomWrites_EqualsPowerOn) {
    const std::vector<std::byte> fresh = saved();
    std::mt19937 random(1);
    for (unsigned i = 0; i < 2000; ++i) {
        write(k_probe, random() % 256, random(), 1);
    }
    probe.reset();
    EXPECT_EQ(saved(), fresh);
    EXPECT_EQ(probe.bar_address(1), std::nullopt);
}

TEST_F(PciFunctionTest, SaveLoadSave_BusyFunction_IsEqualAndMapped) {
    map_everything();
    write(k_probe, k_msix + 2, 0x8000, 2);
    probe.notify_message(3);
    const std::vector<std::byte> first = saved();
    probe.reset();
    StateReader reader(first);
    probe.load(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_TRUE(reader.at_end());
    EXPECT_EQ(saved(), first);
    EXPECT_EQ(mmio.read(0xc0000010, 4), 0x01000010U);
    mmio.write(0xc0011000 + 3 * 16 + 12, 4, 0);
    EXPECT_EQ(msis.messages.size(), 1U) << "the pending bit came back";
}

TEST_F(PciFunctionTest, Load_IntxAsserted_RestoresTheWireWithoutAnEdge) {
    probe.set_intx(true);
    const std::vector<std::byte> state = saved();
    PciMachine other;
    ProbeFunction copy(other.context);
    copy.reset();
    StateReader reader(state);
    copy.load(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_TRUE(other.irqs.rising.empty());
    copy.set_intx(false);
    EXPECT_FALSE(other.irqs.levels.at(intx_gsi(3, 0)));
}

TEST_F(PciFunctionTest, Load_RandomBytes_NeverChangesIdentity) {
    std::mt19937 random(2);
    std::vector<std::byte> state = saved();
    for (unsigned round = 0; round < 300; ++round) {
        std::vector<std::byte> broken = state;
        for (unsigned i = 0; i < 8; ++i) {
            broken[random() % broken.size()] = static_cast<std::byte>(random());
        }
        StateReader reader(broken);
        probe.load(reader);
        EXPECT_EQ(read(k_probe, 0), 0x10ff1af4U);
        EXPECT_EQ(read(k_probe, 0x34, 1), k_msix);
    }
}

TEST_F(PciFunctionTest, ConfigSpace_EverySizeAndOffsetThroughEcam_AgreesWithBytes) {
    bus.place_ecam(PciBus::EcamWindow{0xb000'0000, 0x1000'0000});
    const uint64_t base = 0xb0018000;
    for (unsigned size : {1U, 2U, 4U, 8U}) {
        for (unsigned offset = 0; offset < 300; ++offset) {
            uint64_t expected = 0;
            for (unsigned i = 0; i < size; ++i) {
                expected |= mmio.read(base + offset + i, 1) << (8 * i);
            }
            EXPECT_EQ(mmio.read(base + offset, size), expected) << offset << " " << size;
        }
    }
}

TEST_F(PciFunctionTest, RandomAccess_ConfigAndBars_LeavesTheDeviceAlive) {
    std::mt19937 random(3);
    for (unsigned i = 0; i < 100'000; ++i) {
        const unsigned size = 1U << random() % 3;
        switch (random() % 4) {
            case 0: write(k_probe, random() % 256, random(), 1); break;
            case 1: read(k_probe, random() % 64 * 4, size); break;
            case 2: mmio.write(0xc0000000 + random() % 0x20000, size, random()); break;
            default: probe.notify_message(random() % 128); break;
        }
        if (i % 1000 == 0) {
            map_everything();
        }
    }
    probe.reset();
    EXPECT_EQ(read(k_probe, 0), 0x10ff1af4U);
}

}  // namespace
}  // namespace skep::test
