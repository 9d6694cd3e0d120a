// SPDX-License-Identifier: GPL-3.0-or-later
// A machine saved while everything in it has something to do goes on in another one.
#include <gtest/gtest.h>

#include "devices/storage/ata.hpp"
#include "tests/devices/catalogue/catalogue_machine.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_hpet = 0xfed0'0000;
constexpr uint32_t k_sector = 512;
constexpr uint64_t k_ahci_memory = 0x1'0000;
constexpr uint32_t k_abar = 0xd000'0000;  // not where the virtio driver puts its registers

// Guest structures lie apart: AHCI's from 64 KiB on, virtio's rings at 256 KiB.
class WholeMachineTest : public testing::Test {
  protected:
    WholeMachineTest() { other.machine.clock.advance(first.machine.clock.now()); }

    // A write on each disk that the host has no room for, timers under way, a character in the UART.
    void give_work() {
        AhciDriver ahci(first.machine, *first.bus, 0, k_ahci_memory, k_abar);
        ahci.start();
        ahci.poke(ahci.data_address(), std::vector<uint8_t>(k_sector, 0x5a));
        first.ahci_disk->fail_next(BlockOp::write, BlockStatus::no_space);
        ahci.issue(0, {.command = ata::k_write_dma_ext, .lba = 3, .count = 1, .bytes = k_sector, .write = true});
        first.ahci_disk->run();
        ASSERT_EQ(first.ahci_disk->held(), 1U);

        VirtioDriver virtio(first.machine, *first.bus);
        virtio.start();
        const GuestAddress header = VirtioDriver::k_buffers;
        ASSERT_TRUE(first.machine.memory->write_value<uint64_t>(header, 1));  // VIRTIO_BLK_T_OUT
        ASSERT_TRUE(first.machine.memory->write_value<uint64_t>(header + 8, 7));
        const std::vector<std::byte> data(k_sector, std::byte{0xc3});
        ASSERT_TRUE(first.machine.memory->write(header + 0x1000, data.data(), data.size()));
        virtio.add(0, 0, {{header, 16, false}, {header + 0x1000, k_sector, false}, {header + 0x2000, 1, true}});
        first.virtio_disk->fail_next(BlockOp::write, BlockStatus::no_space);
        virtio.kick(0);
        first.virtio_disk->run();
        ASSERT_EQ(first.virtio_disk->held(), 1U);

        first.enable_apic();
        first.apic().window_write(0x3e0, 0xb);
        first.apic().window_write(0x320, 0x41);
        first.apic().window_write(0x380, 1'000'000);
        first.machine.mmio.write(k_hpet + 0x100, 8, 4);  // timer 0: one shot, interrupt enabled
        first.machine.mmio.write(k_hpet + 0x10, 8, 1);
        first.machine.mmio.write(k_hpet + 0x108, 8, first.machine.mmio.read(k_hpet + 0xf0, 8) + 50'000);
        first.com1.type("k");
    }

    CatalogueMachine first;
    CatalogueMachine other;
};

TEST_F(WholeMachineTest, held_writes_and_running_timers_go_on_elsewhere) {
    give_work();
    if (HasFatalFailure()) {
        return;
    }
    first.pause();
    other.pause();
    const Status taken = other.take_over(first);
    ASSERT_TRUE(taken) << taken.error().message;
    other.resume();
    EXPECT_EQ(other.ahci_disk->run(), 1U);
    EXPECT_EQ(other.virtio_disk->run(), 1U);
    EXPECT_EQ(other.ahci_disk->data[3 * k_sector + 5], 0x5a);
    EXPECT_EQ(other.virtio_disk->data[7 * k_sector + 5], 0xc3);
    AhciDriver ahci(other.machine, *other.bus, 0, k_ahci_memory, k_abar);
    EXPECT_EQ(ahci.reg(ahci::k_px_ci), 0U);
    EXPECT_EQ(*other.machine.memory->read_value<uint16_t>(VirtioDriver::k_rings + 0x2002), 1);
    EXPECT_EQ(*other.machine.memory->read_value<uint8_t>(VirtioDriver::k_buffers + 0x2000), 0) << "VIRTIO_BLK_S_OK";

    EXPECT_FALSE(other.apic().interrupt_pending());
    other.machine.clock.advance(1'100'000'000);
    ASSERT_TRUE(other.apic().interrupt_pending());
    EXPECT_EQ(other.apic().acknowledge_interrupt(), 0x41);
    EXPECT_EQ(other.machine.mmio.read(k_hpet + 0xf0, 8) - first.machine.mmio.read(k_hpet + 0xf0, 8), 1'100'000'000U / 10);
    EXPECT_EQ(other.in(0x3f8), 'k');
}

TEST_F(WholeMachineTest, first_machine_goes_on_after_it_was_saved) {
    give_work();
    if (HasFatalFailure()) {
        return;
    }
    first.pause();
    other.pause();
    ASSERT_TRUE(other.take_over(first));
    first.resume();
    first.ahci_disk->retry();
    first.virtio_disk->retry();
    EXPECT_EQ(first.ahci_disk->run() + first.virtio_disk->run(), 2U);
    EXPECT_EQ(first.ahci_disk->data[3 * k_sector + 5], 0x5a);
    EXPECT_EQ(first.virtio_disk->data[7 * k_sector + 5], 0xc3);
    first.machine.clock.advance(1'100'000'000);
    EXPECT_TRUE(first.apic().interrupt_pending());
}

}  // namespace
}  // namespace skep::test
