// SPDX-License-Identifier: GPL-3.0-or-later
// The guest's side of a virtio PCI device for tests: negotiates, sets queues up in guest RAM, builds chains by hand.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "devices/pci/pci_bus.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "tests/support/fake_machine.hpp"

namespace skep::test {

// A chain element as the driver writes it.
struct DriverBuffer {
    GuestAddress address;
    uint32_t length;
    bool device_writes;
};

class VirtioDriver {
  public:
    static constexpr PciAddress k_address{5, 0};
    static constexpr uint64_t k_registers = 0xc000'0000;
    static constexpr uint64_t k_msix = 0xc001'0000;
    static constexpr uint16_t k_queue_size = 16;
    // One queue's rings take a page each; queue n starts here + n * 0x3000.
    static constexpr GuestAddress k_rings = 0x4'0000;
    static constexpr GuestAddress k_buffers = 0x8'0000;

    VirtioDriver(FakeMachine& machine, PciBus& bus) : m_machine(machine) {
        bus.config_write(k_address, 0x14, 4, k_msix);
        bus.config_write(k_address, 0x20, 4, k_registers);
        bus.config_write(k_address, 0x24, 4, 0);
        bus.config_write(k_address, 0x04, 2, 6);
    }

    uint64_t common(uint32_t offset, unsigned size) { return m_machine.mmio.read(k_registers + offset, size); }
    void set_common(uint32_t offset, unsigned size, uint64_t value) { m_machine.mmio.write(k_registers + offset, size, value); }
    uint64_t device_config(uint32_t offset, unsigned size) { return m_machine.mmio.read(k_registers + 0x2000 + offset, size); }
    uint64_t isr() { return m_machine.mmio.read(k_registers + 0x1000, 1); }
    uint8_t status() { return static_cast<uint8_t>(common(20, 1)); }

    uint64_t offered() {
        set_common(0, 4, 0);
        const uint64_t low = common(4, 4);
        set_common(0, 4, 1);
        return low | common(4, 4) << 32;
    }
    // ACKNOWLEDGE .. FEATURES_OK; true when the device accepts.
    bool negotiate(uint64_t features) {
        set_common(20, 1, 0);
        set_common(20, 1, 1);
        set_common(20, 1, 3);
        set_common(8, 4, 0);
        set_common(12, 4, features & 0xffff'ffff);
        set_common(8, 4, 1);
        set_common(12, 4, features >> 32);
        set_common(20, 1, 11);
        return (status() & 8) != 0;
    }
    void set_up_queue(uint16_t queue, uint16_t size = k_queue_size) {
        const GuestAddress rings = k_rings + queue * 0x3000U;
        const std::vector<std::byte> zeros(0x3000);
        ASSERT_TRUE(m_machine.memory->write(rings, zeros.data(), zeros.size()));
        set_common(22, 2, queue);
        set_common(24, 2, size);
        set_common(32, 8, rings);
        set_common(40, 8, rings + 0x1000);
        set_common(48, 8, rings + 0x2000);
        set_common(28, 2, 1);
        m_queues.resize(std::max<size_t>(m_queues.size(), queue + 1U));
        m_queues[queue] = {.rings = rings, .size = size};
    }
    void driver_ok() { set_common(20, 1, 15); }
    // The whole start, with one queue.
    void start(uint64_t features = 0) {
        ASSERT_TRUE(negotiate(features | virtio::k_feature_version_1));
        set_up_queue(0);
        driver_ok();
    }

    // Writes a chain at descriptor `head` and makes it available, without notifying.
    void add(uint16_t queue, uint16_t head, const std::vector<DriverBuffer>& buffers) {
        for (size_t index = 0; index < buffers.size(); ++index) {
            const bool last = index + 1 == buffers.size();
            write_descriptor(queue, static_cast<uint16_t>(head + index), buffers[index].address, buffers[index].length,
                             static_cast<uint16_t>((last ? 0 : 1) | (buffers[index].device_writes ? 2 : 0)),
                             static_cast<uint16_t>(head + index + 1));
        }
        make_available(queue, head);
    }
    void write_descriptor(uint16_t queue, uint16_t index, GuestAddress address, uint32_t length, uint16_t flags, uint16_t next) {
        const GuestAddress at = m_queues[queue].rings + index * 16U;
        EXPECT_TRUE(m_machine.memory->write_value(at, address));
        EXPECT_TRUE(m_machine.memory->write_value(at + 8, length));
        EXPECT_TRUE(m_machine.memory->write_value(at + 12, flags));
        EXPECT_TRUE(m_machine.memory->write_value(at + 14, next));
    }
    void make_available(uint16_t queue, uint16_t head) {
        Queue& state = m_queues[queue];
        const GuestAddress ring = state.rings + 0x1000;
        EXPECT_TRUE(m_machine.memory->write_value<uint16_t>(ring + 4 + (state.available % state.size) * 2U, head));
        ++state.available;
        EXPECT_TRUE(m_machine.memory->write_value<uint16_t>(ring + 2, state.available));
    }
    void kick(uint16_t queue) { m_machine.mmio.write(k_registers + 0x3000 + queue * 4U, 2, queue); }

    uint16_t used_index(uint16_t queue) { return *m_machine.memory->read_value<uint16_t>(m_queues[queue].rings + 0x2002); }
    struct Used {
        uint32_t id;
        uint32_t length;
    };
    Used used(uint16_t queue, uint16_t index) {
        return *m_machine.memory->read_value<Used>(m_queues[queue].rings + 0x2004 + (index % m_queues[queue].size) * 8U);
    }
    // The available ring's used_event field: interrupt when the used index passes it.
    void set_used_event(uint16_t queue, uint16_t value) {
        EXPECT_TRUE(m_machine.memory->write_value(m_queues[queue].rings + 0x1004 + m_queues[queue].size * 2U, value));
    }

  private:
    struct Queue {
        GuestAddress rings = 0;
        uint16_t size = 0;
        uint16_t available = 0;
    };
    FakeMachine& m_machine;
    std::vector<Queue> m_queues;
};

}  // namespace skep::test
