// SPDX-License-Identifier: GPL-3.0-or-later
// What a fuzzed virtio device has in common: a driver that sets it up well, whose registers, rings and descriptors the
// input then breaks.
//
// Operations, one byte each with their operands behind it (little-endian), what is missing at the end reads as zero:
//   0 read       {offset:2, log2 size:1}              5 available {queue:1, head:1}: and a kick
//   1 write      {offset:2, log2 size:1, value:4}     6 ring index {queue:1, driver's or device's:1, value:2}
//   2 ram        {address:3, count:1, bytes}          7 reset   8 save and load   9 pause and resume
//   3 start      {features:4, queue size:1}          10 config write {offset:1, value:4}
//   4 descriptor {queue:1, index:1, address:3, length:2, flags:1, next:1}
// and the device's own from k_own on.
#pragma once

#include "devices/virtio/virtio_pci.hpp"
#include "tests/fuzz/device_language.hpp"
#include "tests/support/virtio_driver.hpp"

namespace skep::fuzz {

class VirtioSession {
  public:
    static constexpr unsigned k_own = 11;

    // The device is as new for each input.
    VirtioSession(test::FakeMachine& machine, PciBus& bus, VirtioPci& device, uint16_t queues)
        : m_machine(machine), m_bus(bus), m_device(device), m_queues(queues), m_driver(machine, bus) {
        device.reset();
        std::fill(machine.memory->ram().begin(), machine.memory->ram().end(), std::byte{});
        machine.msis.messages.clear();
        enable();
        start(virtio::k_feature_event_idx | 0xff, test::VirtioDriver::k_queue_size);
    }

    // An operation below k_own.
    void step(unsigned operation, Input& input) {
        using test::VirtioDriver;
        switch (operation) {
            case 0: {
                const uint64_t offset = input.take<uint16_t>() % 0x4000;
                (void)m_machine.mmio.read(VirtioDriver::k_registers + offset, 1U << input.take<uint8_t>() % 4);
                break;
            }
            case 1: {
                const uint64_t offset = input.take<uint16_t>() % 0x4000;
                const unsigned size = 1U << input.take<uint8_t>() % 4;
                m_machine.mmio.write(VirtioDriver::k_registers + offset, size, input.take<uint32_t>());
                break;
            }
            case 2: {
                const GuestAddress at = take_address(input);
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                (void)m_machine.memory->write(at, bytes.data(), bytes.size());
                break;
            }
            case 3: {
                const auto features = input.take<uint32_t>();
                start(features, static_cast<uint16_t>(1U << input.take<uint8_t>() % 5));
                break;
            }
            case 4: descriptor(input); break;
            case 5: {
                const uint16_t queue = take_queue(input);
                m_driver.make_available(queue, input.take<uint8_t>());
                m_driver.kick(queue);
                break;
            }
            case 6: {
                const GuestAddress rings = VirtioDriver::k_rings + take_queue(input) * 0x3000U;
                const GuestAddress at = rings + (input.take<uint8_t>() % 2 == 0 ? 0x1002 : 0x2002);
                (void)m_machine.memory->write_value(at, input.take<uint16_t>());
                break;
            }
            case 7: m_device.reset(); enable(); break;
            case 8: save_and_load(); break;
            case 9:
                m_device.pause();
                m_device.resume();
                break;
            default: {
                const auto offset = static_cast<unsigned>(input.take<uint8_t>()) & 0xfc;
                m_bus.config_write(VirtioDriver::k_address, offset, 4, input.take<uint32_t>());
                enable();
            }
        }
    }

    [[nodiscard]] std::vector<std::byte> saved() {
        StateWriter writer;
        m_device.pause();
        m_device.save(writer);
        m_device.resume();
        return writer.bytes();
    }
    [[nodiscard]] test::VirtioDriver& driver() { return m_driver; }
    uint16_t take_queue(Input& input) const { return static_cast<uint16_t>(input.take<uint8_t>() % m_queues); }
    // In RAM, or behind its end.
    static GuestAddress take_address(Input& input) {
        const GuestAddress low = input.take<uint16_t>();
        return (low | GuestAddress{input.take<uint8_t>()} << 16) % 0x10'4000;
    }

  private:
    void enable() {
        using test::VirtioDriver;
        m_bus.config_write(VirtioDriver::k_address, 0x14, 4, VirtioDriver::k_msix);
        m_bus.config_write(VirtioDriver::k_address, 0x20, 4, VirtioDriver::k_registers);
        m_bus.config_write(VirtioDriver::k_address, 0x24, 4, 0);
        m_bus.config_write(VirtioDriver::k_address, 0x04, 2, 7);  // ports too: the VGA has some
    }
    // Only what is offered: else the device would stay off.
    void start(uint64_t features, uint16_t queue_size) {
        if (!m_driver.negotiate((features & m_driver.offered()) | virtio::k_feature_version_1)) {
            return;
        }
        for (uint16_t queue = 0; queue < m_queues; ++queue) {
            m_driver.set_up_queue(queue, queue_size);
        }
        m_driver.driver_ok();
    }
    void descriptor(Input& input) {
        const uint16_t queue = take_queue(input);
        const uint16_t index = input.take<uint8_t>() % 32;
        const GuestAddress address = take_address(input);
        const uint32_t length = input.take<uint16_t>();
        const auto flags = input.take<uint8_t>();
        m_driver.write_descriptor(queue, index, address, length, flags, input.take<uint8_t>());
    }
    void save_and_load() {
        const std::vector<std::byte> state = saved();
        m_device.pause();
        StateReader reader(state);
        m_device.load(reader);
        StateWriter again;
        m_device.save(again);
        if (!reader.ok() || again.bytes() != state) {
            __builtin_trap();  // what was saved must come back the same
        }
        m_device.resume();
    }

    test::FakeMachine& m_machine;
    PciBus& m_bus;
    VirtioPci& m_device;
    uint16_t m_queues;
    test::VirtioDriver m_driver;
};

}  // namespace skep::fuzz
