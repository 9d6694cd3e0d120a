// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_rng.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/support/virtio_driver.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

struct VirtioRngTest : testing::Test, FakeMachine {
    VirtioRngTest() {
        context.pci = &bus;
        bus.reset();
        device = std::make_unique<VirtioPci>(context, "rng", VirtioDriver::k_address, make_virtio_rng(*memory));
        device->reset();
        driver = std::make_unique<VirtioDriver>(*this, bus);
    }
    PciBus bus{context};
    std::unique_ptr<VirtioPci> device;
    std::unique_ptr<VirtioDriver> driver;
};

TEST_F(VirtioRngTest, buffers_are_filled_with_changing_bytes) {
    driver->start();
    std::set<uint64_t> seen;
    for (uint16_t round = 0; round < 8; ++round) {
        driver->add(0, 0, {{VirtioDriver::k_buffers, 8, true}});
        driver->kick(0);
        ASSERT_EQ(driver->used_index(0), round + 1);
        EXPECT_EQ(driver->used(0, round).length, 8U);
        seen.insert(*memory->read_value<uint64_t>(VirtioDriver::k_buffers));
    }
    EXPECT_EQ(seen.size(), 8U);
}

TEST_F(VirtioRngTest, buffer_outside_memory_gets_nothing) {
    driver->start();
    driver->add(0, 0, {{0xfee0'0000, 64, true}});
    driver->kick(0);
    EXPECT_EQ(driver->used(0, 0).length, 0U);
}

TEST_F(VirtioRngTest, identity_is_the_modern_entropy_device) {
    EXPECT_EQ(bus.config_read(VirtioDriver::k_address, 0, 4), 0x1044'1af4U);
    EXPECT_EQ(bus.config_read(VirtioDriver::k_address, 8, 1), 1U);
}

TEST_F(VirtioRngTest, random_register_accesses_are_survived) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 100'000; ++round) {
        const unsigned size = 1U << (random() % 4);
        const uint64_t address = VirtioDriver::k_registers + random() % 0x4000;
        if (random() % 2 == 0) {
            const uint64_t value = mmio.read(address, size);
            if (size < 8) {
                ASSERT_LE(value, all_ones(size));
            }
        } else {
            mmio.write(address, size, random());
        }
    }
    device->reset();
    driver->start();
    driver->add(0, 0, {{VirtioDriver::k_buffers, 8, true}});
    driver->kick(0);
    EXPECT_EQ(driver->used_index(0), 0) << "BARs were reset with the function";
}

}  // namespace
}  // namespace skep::test
