// SPDX-License-Identifier: GPL-3.0-or-later
// The Q35 host bridge (PAM, SMRAM, PCIEXBAR) and the ICH9 LPC bridge.
#include <gtest/gtest.h>

#include "devices/pci/ich9_lpc.hpp"
#include "devices/pci/q35_host_bridge.hpp"
#include "tests/devices/pci/pci_fixture.hpp"

namespace skep::test {
namespace {

constexpr PciAddress k_host{0, 0};
constexpr PciAddress k_lpc{0x1f, 0};

struct HostBridgeTest : testing::Test, PciMachine {
    static constexpr uint64_t k_rom_size = 0x20000;  // 0xe0000-0xfffff
    std::byte* rom = memory->add_rom(std::vector<std::byte>(k_rom_size, std::byte{0xee}));
    Q35HostBridge bridge{context, {rom, k_rom_size}};

    HostBridgeTest() {
        bridge.reset();
        std::fill(memory->ram().begin(), memory->ram().end(), std::byte{0x11});
    }
    int byte_at(GuestAddress address) { return memory->read_value<uint8_t>(address).value_or(0xff) ; }
    bool writable(GuestAddress address) { return memory->find(address) && memory->find(address)->writable; }
};

TEST_F(HostBridgeTest, Ids_Read_AreQ35s) {
    EXPECT_EQ(read(k_host, 0), 0x29c08086U);
    EXPECT_EQ(read(k_host, 8) >> 8, 0x060000U);
    EXPECT_EQ(read(k_host, 0x2c), 0x11001af4U);
}

TEST_F(HostBridgeTest, Pam_AfterReset_RomReadsAndHolesAreEmpty) {
    EXPECT_EQ(byte_at(0xf0000), 0xee);
    EXPECT_EQ(byte_at(0xe0000), 0xee);
    EXPECT_FALSE(writable(0xf0000));
    EXPECT_FALSE(memory->find(0xc0000).has_value());
    EXPECT_FALSE(memory->find(0xa0000).has_value());
    EXPECT_EQ(byte_at(0x9ffff), 0x11);
}

TEST_F(HostBridgeTest, Pam_EachRegion_SwitchesItsOwn16KiBOnly) {
    for (unsigned region = 0; region < 12; ++region) {
        const GuestAddress start = 0xc0000 + region * 0x4000;
        write(k_host, 0x91 + region / 2, region % 2 == 0 ? 0x03 : 0x30, 1);
        for (GuestAddress at = 0xc0000; at < 0xf0000; at += 0x4000) {
            EXPECT_EQ(writable(at), at == start) << std::hex << start << " " << at;
        }
        write(k_host, 0x91 + region / 2, 0, 1);
    }
    write(k_host, 0x90, 0x30, 1);
    EXPECT_TRUE(writable(0xf0000));
    EXPECT_TRUE(writable(0xfc000));
    EXPECT_FALSE(writable(0xec000));
}

TEST_F(HostBridgeTest, Pam_AllOpen_IsOneRangeOfRam) {
    write(k_host, 0x90, 0x30, 1);
    for (unsigned i = 1; i < 7; ++i) {
        write(k_host, 0x90 + i, 0x33, 1);
    }
    EXPECT_TRUE(memory->slice(0xc0000, 0x40000, true).has_value());
    EXPECT_EQ(byte_at(0xe0000), 0x11);
}

TEST_F(HostBridgeTest, Pam_ReadRomWriteRam_WritesLandBehindTheRom) {
    write(k_host, 0x90, 0x20, 1);
    EXPECT_FALSE(writable(0xf0000));
    mmio.write(0xf0000, 4, 0x44332211);  // where a processor's write to a read-only range goes
    EXPECT_EQ(byte_at(0xf0001), 0xee);
    write(k_host, 0x90, 0x10, 1);
    EXPECT_EQ(byte_at(0xf0001), 0x22);
    EXPECT_FALSE(writable(0xf0000)) << "read RAM, write nothing";
    mmio.write(0xf0000, 1, 0x99);
    EXPECT_EQ(byte_at(0xf0000), 0x11);
}

TEST_F(HostBridgeTest, Smram_Locked_CannotBeOpenedUntilReset) {
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x02U);
    write(k_host, 0x9d, 0x4a, 1);
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x4aU);
    write(k_host, 0x9d, 0x1a, 1);
    write(k_host, 0x9d, 0x4a, 1);
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x1aU);
    bridge.reset();
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x02U);
    write(k_host, 0x9d, 0x48, 1);
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x4aU);
}

TEST_F(HostBridgeTest, Pciexbar_ProgrammedAsFirmwareDoes_OpensEcam) {
    write(k_host, 0x64, 0);
    write(k_host, 0x60, 0xb0000001);
    EXPECT_EQ(mmio.read(0xb0000000, 4), 0x29c08086U);
    mmio.write(0xb0000060, 4, 0xe0000001);  // the window moves itself away
    EXPECT_EQ(mmio.read(0xb0000000, 4), 0xffffffffU);
    EXPECT_EQ(mmio.read(0xe0000000, 4), 0x29c08086U);
    bridge.reset();
    EXPECT_EQ(mmio.read(0xe0000000, 4), 0xffffffffU);
}

TEST_F(HostBridgeTest, SaveLoadSave_PamEcamLock_IsEqualAndApplied) {
    write(k_host, 0x60, 0xb0000001);
    write(k_host, 0x90, 0x30, 1);
    write(k_host, 0x9d, 0x1a, 1);
    StateWriter first;
    bridge.save(first);
    bridge.reset();
    StateReader reader(first.bytes());
    bridge.load(reader);
    EXPECT_TRUE(reader.ok());
    StateWriter second;
    bridge.save(second);
    EXPECT_EQ(first.bytes(), second.bytes());
    EXPECT_TRUE(writable(0xf0000));
    EXPECT_EQ(mmio.read(0xb0000000, 4), 0x29c08086U);
    write(k_host, 0x9d, 0x4a, 1);
    EXPECT_EQ(read(k_host, 0x9d, 1), 0x1aU);
}

struct LpcTest : testing::Test, PciMachine {
    Ich9Lpc lpc{context};
    std::vector<std::pair<uint16_t, bool>> pm;
    std::map<unsigned, std::optional<unsigned>> routes;
    LpcTest() {
        lpc.on_pm_base = [this](uint16_t base, bool enabled) { pm.emplace_back(base, enabled); };
        lpc.on_pirq_route = [this](unsigned pirq, std::optional<unsigned> irq) { routes[pirq] = irq; };
        lpc.reset();
    }
};

TEST_F(LpcTest, Reset_Hooks_AreToldTheDefaults) {
    ASSERT_EQ(pm.size(), 1U);
    EXPECT_EQ(pm[0], std::make_pair(uint16_t{0}, false));
    EXPECT_EQ(routes.size(), 8U);
    EXPECT_EQ(routes[3], std::nullopt);
    EXPECT_EQ(read(k_lpc, 0), 0x29188086U);
    EXPECT_EQ(read(k_lpc, 0x60), 0x80808080U);
}

TEST_F(LpcTest, PmBase_AsSeabiosProgramsIt_IsToldOnce) {
    pm.clear();
    write(k_lpc, 0x40, 0x601);
    write(k_lpc, 0x44, 0x80, 1);
    write(k_lpc, 0x44, 0x80, 1);
    ASSERT_EQ(pm.size(), 2U);
    EXPECT_EQ(pm[0], std::make_pair(uint16_t{0x600}, false));
    EXPECT_EQ(pm[1], std::make_pair(uint16_t{0x600}, true));
    EXPECT_EQ(read(k_lpc, 0x40), 0x601U);
    lpc.reset();
    EXPECT_EQ(pm.back(), std::make_pair(uint16_t{0}, false));
}

TEST_F(LpcTest, PirqRoutes_Written_AreToldAndReservedIrqsAreNot) {
    write(k_lpc, 0x60, 0x0b0b0a0a);
    write(k_lpc, 0x68, 0x0b0b0a0a);
    EXPECT_EQ(routes[0], 10U);
    EXPECT_EQ(routes[3], 11U);
    EXPECT_EQ(routes[5], 10U);
    write(k_lpc, 0x60, 0x08, 1);
    EXPECT_EQ(routes[0], std::nullopt);
    write(k_lpc, 0x61, 0x8a, 1);
    EXPECT_EQ(routes[1], std::nullopt);
}

TEST_F(LpcTest, Rcba_Written_ReadsBackUnderItsMask) {
    write(k_lpc, 0xf0, 0xfed1c001);
    EXPECT_EQ(read(k_lpc, 0xf0), 0xfed1c001U);
    write(k_lpc, 0xf0, 0xffffffff);
    EXPECT_EQ(read(k_lpc, 0xf0), 0xffffc001U);
}

TEST_F(LpcTest, SaveLoad_Hooks_AreToldAgain) {
    write(k_lpc, 0x40, 0x601);
    write(k_lpc, 0x44, 0x80, 1);
    write(k_lpc, 0x60, 0x0b0b0a0a);
    StateWriter writer;
    lpc.save(writer);
    lpc.reset();
    StateReader reader(writer.bytes());
    lpc.load(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(pm.back(), std::make_pair(uint16_t{0x600}, true));
    EXPECT_EQ(routes[0], 10U);
}

}  // namespace
}  // namespace skep::test
