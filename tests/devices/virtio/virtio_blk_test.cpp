// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_blk.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/memory_block.hpp"
#include "tests/support/virtio_driver.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_disk_bytes = 1 << 20;
constexpr uint64_t k_flush = uint64_t{1} << 9;
constexpr uint64_t k_config_wce = uint64_t{1} << 11;
constexpr GuestAddress k_header = VirtioDriver::k_buffers;
constexpr GuestAddress k_data = VirtioDriver::k_buffers + 0x1000;
constexpr GuestAddress k_status = VirtioDriver::k_buffers + 0x800;

struct VirtioBlkTest : testing::Test, FakeMachine {
    VirtioBlkTest() {
        context.pci = &bus;
        bus.reset();
        make_device();
    }
    void make_device(bool read_only = false, unsigned queues = 2) {
        driver.reset();
        device.reset();
        disk = std::make_shared<MemoryBlock>(k_disk_bytes, 512, read_only);
        std::iota(disk->data.begin(), disk->data.end(), uint8_t{0});
        device = std::make_unique<VirtioPci>(context, "disk", VirtioDriver::k_address,
                                             make_virtio_blk(*memory, disk, {.serial = "serial-1", .queue_count = queues}));
        device->reset();
        driver = std::make_unique<VirtioDriver>(*this, bus);
    }
    void header(uint32_t type, uint64_t sector) {
        ASSERT_TRUE(memory->write_value<uint32_t>(k_header, type));
        ASSERT_TRUE(memory->write_value<uint32_t>(k_header + 4, 0));
        ASSERT_TRUE(memory->write_value<uint64_t>(k_header + 8, sector));
        ASSERT_TRUE(memory->write_value<uint8_t>(k_status, 0xee));
    }
    uint8_t status() { return *memory->read_value<uint8_t>(k_status); }
    void request(uint32_t type, uint64_t sector, uint32_t bytes, bool device_writes, uint16_t queue = 0) {
        header(type, sector);
        std::vector<DriverBuffer> chain{{k_header, 16, false}};
        if (bytes != 0) {
            chain.push_back({k_data, bytes, device_writes});
        }
        chain.push_back({k_status, 1, true});
        driver->add(queue, 0, chain);
        driver->kick(queue);
    }

    PciBus bus{context};
    std::shared_ptr<MemoryBlock> disk;
    std::unique_ptr<VirtioPci> device;
    std::unique_ptr<VirtioDriver> driver;
};

TEST_F(VirtioBlkTest, features_of_a_writable_disk_include_flush_discard_and_write_zeroes) {
    EXPECT_EQ(driver->offered() & (bit(9) | bit(11) | bit(12) | bit(13) | bit(14) | bit(5)), bit(9) | bit(11) | bit(12) | bit(13) | bit(14));
    make_device(true);
    EXPECT_NE(driver->offered() & bit(5), 0U);
    EXPECT_EQ(driver->offered() & bit(13), 0U);
}

TEST_F(VirtioBlkTest, configuration_tells_capacity_and_queues) {
    EXPECT_EQ(driver->device_config(0, 8), k_disk_bytes / 512);
    EXPECT_EQ(driver->device_config(20, 4), 512U);
    EXPECT_EQ(driver->device_config(34, 2), 2U);
    EXPECT_EQ(driver->device_config(59, 4), 0U);
}

TEST_F(VirtioBlkTest, grown_disk_is_told_by_a_configuration_change) {
    driver->start();
    EXPECT_EQ(driver->isr(), 0U);
    ASSERT_TRUE(disk->grow(2 * k_disk_bytes));
    disk->tell_grown();
    EXPECT_EQ(driver->isr(), 2U) << "5.2.5: a change of the configuration";
    EXPECT_EQ(driver->device_config(0, 8), 2 * k_disk_bytes / 512);
    request(0, 2 * k_disk_bytes / 512 - 1, 512, true);
    disk->run();
    EXPECT_EQ(status(), 0);
}

TEST_F(VirtioBlkTest, unoffered_feature_is_refused_at_features_ok) {
    EXPECT_FALSE(driver->negotiate(virtio::k_feature_version_1 | bit(60)));
    EXPECT_FALSE(driver->negotiate(0)) << "a driver without VERSION_1 is not for a modern device";
}

TEST_F(VirtioBlkTest, read_fills_the_buffer_and_completes_once) {
    driver->start();
    request(0, 3, 1024, true);
    EXPECT_EQ(driver->used_index(0), 0);
    disk->run();
    ASSERT_EQ(driver->used_index(0), 1);
    EXPECT_EQ(driver->used(0, 0).length, 1025U);
    EXPECT_EQ(status(), 0);
    std::vector<uint8_t> got(1024);
    ASSERT_TRUE(memory->read(k_data, got.data(), got.size()));
    EXPECT_TRUE(std::equal(got.begin(), got.end(), disk->data.begin() + 3 * 512));
    EXPECT_TRUE(irqs.levels.size() == 1 && irqs.levels.begin()->second) << "INTx while MSI-X is off";
    EXPECT_EQ(driver->isr(), 1U);
    EXPECT_FALSE(irqs.levels.begin()->second) << "reading ISR lowers the line";
}

TEST_F(VirtioBlkTest, write_reaches_the_disk_on_the_second_queue) {
    ASSERT_TRUE(driver->negotiate(virtio::k_feature_version_1 | bit(12) | k_flush));
    driver->set_up_queue(0);
    driver->set_up_queue(1);
    driver->driver_ok();
    ASSERT_TRUE(memory->write_value<uint32_t>(k_data, 0xdeadbeef));
    request(1, 7, 512, false, 1);
    disk->run();
    EXPECT_EQ(status(), 0);
    EXPECT_EQ(disk->data[7 * 512], 0xef);
    EXPECT_EQ(driver->used(1, 0).length, 1U);
}

TEST_F(VirtioBlkTest, requests_outside_the_disk_fail_without_touching_it) {
    driver->start();
    request(0, k_disk_bytes / 512, 512, true);
    EXPECT_EQ(status(), 1);
    driver->start();
    request(1, ~uint64_t{0}, 512, false);
    EXPECT_EQ(status(), 1);
    driver->start();
    request(1, 0, 100, false);
    EXPECT_EQ(status(), 1) << "not a whole sector";
    EXPECT_EQ(disk->waiting(), 0U);
}

TEST_F(VirtioBlkTest, unknown_request_is_unsupported_and_get_id_gives_the_serial) {
    driver->start();
    request(99, 0, 512, true);
    EXPECT_EQ(status(), 2);
    driver->start();
    request(8, 0, 20, true);
    EXPECT_EQ(status(), 0);
    std::array<char, 20> id{};
    ASSERT_TRUE(memory->read(k_data, id.data(), id.size()));
    EXPECT_STREQ(id.data(), "serial-1");
}

TEST_F(VirtioBlkTest, flush_goes_to_the_back_end) {
    driver->start(k_flush);
    request(4, 0, 0, false);
    disk->run();
    EXPECT_EQ(disk->submitted[BlockOp::flush], 1U);
    EXPECT_EQ(status(), 0);
}

TEST_F(VirtioBlkTest, discard_flags_are_unsupported_and_write_zeroes_reads_back_zero) {
    driver->start(bit(13) | bit(14));
    ASSERT_TRUE(memory->write_value<uint64_t>(k_data, 8));
    ASSERT_TRUE(memory->write_value<uint32_t>(k_data + 8, 2));
    ASSERT_TRUE(memory->write_value<uint32_t>(k_data + 12, 1));
    request(11, 0, 16, false);
    EXPECT_EQ(status(), 2);
    driver->start(bit(14));
    request(13, 0, 16, false);
    disk->run();
    EXPECT_EQ(status(), 0);
    EXPECT_TRUE(std::all_of(&disk->data[8 * 512], &disk->data[10 * 512], [](uint8_t byte) { return byte == 0; }));
    EXPECT_EQ(disk->data[10 * 512 + 1], 1);
}

TEST_F(VirtioBlkTest, host_error_becomes_ioerr) {
    driver->start();
    disk->fail_next(BlockOp::read, BlockStatus::io_error);
    request(0, 0, 512, true);
    disk->run();
    EXPECT_EQ(status(), 1);
}

TEST_F(VirtioBlkTest, driver_without_flush_gets_write_through) {
    driver->start();
    EXPECT_EQ(driver->device_config(32, 1), 0U);
    driver->start(k_flush | k_config_wce);
    EXPECT_EQ(driver->device_config(32, 1), 0U);
    mmio.write(VirtioDriver::k_registers + 0x2000 + 32, 1, 1);
    EXPECT_EQ(driver->device_config(32, 1), 1U);
}

TEST_F(VirtioBlkTest, reset_by_the_driver_waits_for_requests_in_flight) {
    driver->start();
    request(0, 0, 512, true);
    driver->set_common(20, 1, 0);
    EXPECT_NE(driver->status(), 0) << "the host may still write into the buffer";
    disk->run();
    EXPECT_EQ(driver->status(), 0);
    EXPECT_EQ(driver->common(28, 2), 0U) << "queue disabled";
}

TEST_F(VirtioBlkTest, endless_descriptor_loop_breaks_the_device_not_the_host) {
    driver->start();
    header(0, 0);
    driver->write_descriptor(0, 0, k_header, 16, 1, 1);
    driver->write_descriptor(0, 1, k_data, 512, 1 | 2, 1);
    driver->make_available(0, 0);
    driver->kick(0);
    EXPECT_NE(driver->status() & 64, 0) << "DEVICE_NEEDS_RESET";
    EXPECT_EQ(disk->waiting(), 0U);
    driver->start();
    request(0, 0, 512, true);
    disk->run();
    EXPECT_EQ(status(), 0) << "works again after a reset";
}

TEST_F(VirtioBlkTest, indirect_chain_is_followed_and_nested_one_refused) {
    driver->start(virtio::k_feature_indirect_desc);
    header(0, 1);
    const GuestAddress table = VirtioDriver::k_buffers + 0x4000;
    const auto entry = [&](unsigned index, GuestAddress address, uint32_t length, uint16_t flags) {
        ASSERT_TRUE(memory->write_value(table + index * 16, address));
        ASSERT_TRUE(memory->write_value(table + index * 16 + 8, length));
        ASSERT_TRUE(memory->write_value(table + index * 16 + 12, flags));
        ASSERT_TRUE(memory->write_value<uint16_t>(table + index * 16 + 14, static_cast<uint16_t>(index + 1)));
    };
    entry(0, k_header, 16, 1);
    entry(1, k_data, 512, 1 | 2);
    entry(2, k_status, 1, 2);
    driver->write_descriptor(0, 0, table, 48, 4, 0);
    driver->make_available(0, 0);
    driver->kick(0);
    disk->run();
    EXPECT_EQ(status(), 0);
    entry(0, table, 48, 4);
    driver->make_available(0, 0);
    driver->kick(0);
    EXPECT_NE(driver->status() & 64, 0);
}

TEST_F(VirtioBlkTest, event_index_suppresses_interrupts_until_passed) {
    driver->start(virtio::k_feature_event_idx);
    driver->set_used_event(0, 1);  // interrupt only for the second completion
    request(0, 0, 512, true);
    disk->run();
    EXPECT_EQ(driver->isr(), 0U);
    request(0, 0, 512, true);
    disk->run();
    EXPECT_EQ(driver->isr(), 1U);
}

TEST_F(VirtioBlkTest, msix_message_is_sent_for_the_queue_vector) {
    driver->start();
    mmio.write(VirtioDriver::k_msix + 16, 8, 0xfee0'1000);
    mmio.write(VirtioDriver::k_msix + 24, 4, 0x41);
    mmio.write(VirtioDriver::k_msix + 28, 4, 0);
    const unsigned capability = bus.config_read(VirtioDriver::k_address, 0x34, 1);
    ASSERT_EQ(bus.config_read(VirtioDriver::k_address, capability, 1), 0x11U) << "MSI-X first in the chain";
    bus.config_write(VirtioDriver::k_address, capability + 2, 2, 0x8000);
    driver->set_common(20, 1, 0);
    ASSERT_TRUE(driver->negotiate(virtio::k_feature_version_1));
    driver->set_common(22, 2, 0);
    driver->set_common(26, 2, 1);
    EXPECT_EQ(driver->common(26, 2), 1U);
    driver->set_common(26, 2, 77);
    EXPECT_EQ(driver->common(26, 2), 0xffffU) << "no such vector";
    driver->set_common(26, 2, 1);
    driver->set_up_queue(0);
    driver->driver_ok();
    request(0, 0, 512, true);
    disk->run();
    ASSERT_EQ(msis.messages.size(), 1U);
    EXPECT_EQ(msis.messages[0].data, 0x41U);
}

TEST_F(VirtioBlkTest, paused_saved_and_restored_device_goes_on) {
    driver->start();
    request(0, 0, 512, true);
    device->pause();
    EXPECT_EQ(status(), 0) << "pause drains";
    StateWriter first;
    device->save(first);
    StateReader reader(first.bytes());
    device->load(reader);
    ASSERT_TRUE(reader.ok()) << reader.status().error().message;
    StateWriter second;
    device->save(second);
    EXPECT_EQ(first.bytes(), second.bytes());
    device->resume();
    request(0, 5, 512, true);
    disk->run();
    EXPECT_EQ(driver->used_index(0), 2);
    EXPECT_EQ(status(), 0);
}

TEST_F(VirtioBlkTest, truncated_state_is_refused) {
    driver->start();
    device->pause();
    StateWriter writer;
    device->save(writer);
    for (size_t length = 0; length < writer.bytes().size(); length += 7) {
        StateReader reader(std::span(writer.bytes()).first(length));
        device->load(reader);
        EXPECT_FALSE(reader.ok()) << length;
    }
}

TEST_F(VirtioBlkTest, pci_configuration_window_reaches_the_registers) {
    unsigned capability = bus.config_read(VirtioDriver::k_address, 0x34, 1);
    while (capability != 0 && !(bus.config_read(VirtioDriver::k_address, capability, 1) == 9 &&
                                bus.config_read(VirtioDriver::k_address, capability + 3, 1) == 5)) {
        capability = bus.config_read(VirtioDriver::k_address, capability + 1, 1);
    }
    ASSERT_NE(capability, 0U);
    bus.config_write(VirtioDriver::k_address, capability + 4, 1, 4);
    bus.config_write(VirtioDriver::k_address, capability + 8, 4, 18);  // num_queues
    bus.config_write(VirtioDriver::k_address, capability + 12, 4, 2);
    EXPECT_EQ(bus.config_read(VirtioDriver::k_address, capability + 16, 4), 2U);
}

}  // namespace
}  // namespace skep::test
