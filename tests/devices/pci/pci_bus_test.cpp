// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "devices/pci/intx.hpp"
#include "tests/devices/pci/pci_fixture.hpp"

namespace skep::test {
namespace {

constexpr PciAddress k_probe{3, 0};

struct PciBusTest : testing::Test, PciMachine {
    ProbeFunction probe{context};
};

TEST_F(PciBusTest, ConfigPorts_EveryWidthAndByte_ReadTheSameRegister) {
    EXPECT_EQ(read(k_probe, 0), 0x10ff1af4U);
    EXPECT_EQ(read(k_probe, 2, 2), 0x10ffU);
    EXPECT_EQ(read(k_probe, 1, 1), 0x1aU);
    EXPECT_EQ(read(k_probe, 3, 1), 0x10U);
    EXPECT_EQ(read(k_probe, 8), 0x08800007U);
    EXPECT_EQ(ports.read(0xcf8, 4), 0x80001808U);
}

TEST_F(PciBusTest, ConfigAddress_NarrowWrite_IsNotTaken) {
    ports.write(0xcf8, 4, 0x80001800);
    ports.write(0xcf8, 2, 0x1234);
    ports.write(0xcf9, 1, 0x06);
    EXPECT_EQ(ports.read(0xcf8, 4), 0x80001800U);
}

TEST_F(PciBusTest, ConfigPorts_DisabledOrNobodyThere_ReadOnes) {
    EXPECT_EQ(read({4, 0}, 0), 0xffffffffU);
    EXPECT_EQ(read({3, 1}, 0, 2), 0xffffU);
    ports.write(0xcf8, 4, 0x00001800);
    EXPECT_EQ(ports.read(0xcfc, 4), 0xffffffffU);
    ports.write(0xcf8, 4, 0x80011800);  // bus 1
    EXPECT_EQ(ports.read(0xcfc, 4), 0xffffffffU);
}

TEST_F(PciBusTest, Ecam_PlacedAndMoved_AnswersThereOnly) {
    EXPECT_EQ(mmio.read(0xb0018000, 4), 0xffffffffU);
    bus.place_ecam(PciBus::EcamWindow{0xb000'0000, 0x1000'0000});
    EXPECT_EQ(mmio.read(0xb0018000, 4), 0x10ff1af4U);
    EXPECT_EQ(mmio.read(0xb0018002, 2), 0x10ffU);
    EXPECT_EQ(mmio.read(0xb0018100, 4), 0U) << "no extended capabilities";
    EXPECT_EQ(mmio.read(0xb0118000, 4), 0xffffffffU) << "bus 1 is empty";
    mmio.write(0xb001803c, 1, 11);
    EXPECT_EQ(read(k_probe, 0x3c, 1), 11U);
    bus.place_ecam(PciBus::EcamWindow{0xe000'0000, 0x1000'0000});
    EXPECT_EQ(mmio.read(0xb0018000, 4), 0xffffffffU);
    EXPECT_EQ(mmio.read(0xe0018000, 4), 0x10ff1af4U);
}

TEST_F(PciBusTest, MultifunctionBit_SecondFunctionInSlot_IsSetOnBoth) {
    EXPECT_EQ(read(k_probe, 0x0e, 1), 0U);
    const ProbeFunction second(context, {3, 2});
    EXPECT_EQ(read(k_probe, 0x0e, 1), 0x80U);
    EXPECT_EQ(read({3, 2}, 0x0e, 1), 0x80U);
}

TEST_F(PciBusTest, Detach_DestroyedFunction_IsGone) {
    {
        const ProbeFunction other(context, {9, 0});
        EXPECT_EQ(read({9, 0}, 0), 0x10ff1af4U);
    }
    EXPECT_EQ(read({9, 0}, 0), 0xffffffffU);
}

TEST_F(PciBusTest, Intx_TwoFunctionsOnOneWire_IsTheirOr) {
    ProbeFunction second(context, {2, 0}, IntxPin::b);
    const unsigned gsi = intx_gsi(3, 0);
    ASSERT_EQ(gsi, intx_gsi(2, 1));
    probe.set_intx(true);
    second.set_intx(true);
    EXPECT_TRUE(irqs.levels[gsi]);
    probe.set_intx(false);
    EXPECT_TRUE(irqs.levels[gsi]);
    second.set_intx(false);
    EXPECT_FALSE(irqs.levels[gsi]);
    EXPECT_EQ(irqs.rising[gsi], 1U);
}

TEST(IntxRule, SeabiosTable_Slots0To24AndSlot31PinB_ReachTheSameIsaIrq) {
    constexpr unsigned k_routes[] = {10, 10, 11, 11, 10, 10, 11, 11};  // as SeaBIOS writes PIRQA-H
    constexpr unsigned k_lines[] = {10, 10, 11, 11};
    for (unsigned slot = 0; slot <= 24; ++slot) {
        for (unsigned pin = 0; pin < 4; ++pin) {
            EXPECT_EQ(k_routes[pirq_of(slot, pin)], k_lines[(slot + pin) & 3]) << slot << " " << pin;
        }
    }
    EXPECT_EQ(k_routes[pirq_of(31, 1)], k_lines[1]);
    EXPECT_EQ(k_routes[pirq_of(31, 3)], k_lines[3]);
}

TEST_F(PciBusTest, SaveLoad_ConfigAddress_IsKept) {
    ports.write(0xcf8, 4, 0x80001804);
    StateWriter writer;
    bus.save(writer);
    bus.reset();
    EXPECT_EQ(ports.read(0xcf8, 4), 0U);
    StateReader reader(writer.bytes());
    bus.load(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(ports.read(0xcf8, 4), 0x80001804U);
}

}  // namespace
}  // namespace skep::test
