// SPDX-License-Identifier: GPL-3.0-or-later
// The guest's side of an NVMe controller for tests: registers, queues in guest RAM, commands and what came back.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "devices/nvme/nvme_controller.hpp"
#include "devices/pci/pci_bus.hpp"
#include "tests/support/fake_machine.hpp"
#include "tests/support/memory_block.hpp"

namespace skep::test {

class NvmeDriver {
  public:
    static constexpr PciAddress k_address{7, 0};
    static constexpr uint64_t k_registers = 0xc000'0000;
    static constexpr uint32_t k_entries = 8;
    // Queue n: submission entries at k_rings + n * 0x2000, completions a page on.
    static constexpr GuestAddress k_rings = 0x2'0000;
    static constexpr GuestAddress k_data = 0x8'0000;

    struct Done {
        uint16_t cid = 0;
        uint16_t status = 0;  // type and code, without "do not retry"
        bool final_answer = false;
        uint32_t result = 0;
        uint16_t submission_queue = 0;
    };

    NvmeDriver(FakeMachine& machine, PciBus& bus) : m_machine(machine), m_bus(bus) {
        bus.config_write(k_address, 0x10, 4, k_registers);
        bus.config_write(k_address, 0x14, 4, 0);
        bus.config_write(k_address, 0x04, 2, 6);
    }
    uint32_t read(unsigned offset) { return static_cast<uint32_t>(m_machine.mmio.read(k_registers + offset, 4)); }
    void write(unsigned offset, uint32_t value) { m_machine.mmio.write(k_registers + offset, 4, value); }
    void enable() {
        write(nvme::k_aqa, (k_entries - 1) << 16 | (k_entries - 1));
        write(nvme::k_asq, k_rings);
        write(nvme::k_acq, k_rings + 0x1000);
        write(nvme::k_cc, 4U << 20 | 6U << 16 | 1);
        m_rings = {};
    }
    void disable() { write(nvme::k_cc, 0); }
    void use_messages() {
        // MSI-X: one entry for each queue, at the vector's number; the capability is the only one.
        for (uint32_t vector = 0; vector < 3; ++vector) {
            const uint64_t entry = k_registers + 0x2000 + vector * 16;
            m_machine.mmio.write(entry, 4, 0xfee0'0000);
            m_machine.mmio.write(entry + 8, 4, 0x40 + vector);
            m_machine.mmio.write(entry + 12, 4, 0);
        }
        const uint32_t capability = m_bus.config_read(k_address, 0x34, 1);
        m_bus.config_write(k_address, capability + 2, 2, 0x8000);
    }

    // Puts a command into a queue without telling.
    uint16_t prepare(uint16_t queue, NvmeCommand command) {
        Ring& ring = m_rings.at(queue);
        command.dwords[0] = (command.dwords[0] & 0xffff) | uint32_t{++m_last_cid} << 16;
        EXPECT_TRUE(m_machine.memory->write_value(k_rings + queue * 0x2000 + ring.tail * 64, command));
        ring.tail = (ring.tail + 1) % k_entries;
        return m_last_cid;
    }
    void ring_doorbell(uint16_t queue) { write(nvme::k_doorbells + queue * 8, m_rings.at(queue).tail); }
    uint16_t issue(uint16_t queue, const NvmeCommand& command) {
        const uint16_t cid = prepare(queue, command);
        ring_doorbell(queue);
        return cid;
    }
    // The next completion, if there is one; consumed.
    enum class Consume { yes, keep };
    std::optional<Done> next(uint16_t queue, Consume consume = Consume::yes) {
        Ring& ring = m_rings.at(queue);
        const GuestAddress at = k_rings + queue * 0x2000 + 0x1000 + ring.head * 16;
        const auto dwords = m_machine.memory->read_value<std::array<uint32_t, 4>>(at).value();
        if ((dwords[3] >> 16 & 1) != ring.phase) {
            return std::nullopt;
        }
        ring.head = (ring.head + 1) % k_entries;
        ring.phase ^= ring.head == 0 ? 1 : 0;
        if (consume == Consume::yes) {
            read_up_to_here(queue);
        }
        return Done{static_cast<uint16_t>(dwords[3]), static_cast<uint16_t>(dwords[3] >> 17 & 0x7ff), (dwords[3] >> 31) != 0,
                    dwords[0], static_cast<uint16_t>(dwords[2] >> 16)};
    }
    void read_up_to_here(uint16_t queue) { write(nvme::k_doorbells + queue * 8 + 4, m_rings.at(queue).head); }

    // One admin command from start to end.
    Done admin(const NvmeCommand& command) {
        const uint16_t cid = issue(0, command);
        const auto done = next(0);
        EXPECT_TRUE(done && done->cid == cid);
        return done.value_or(Done{});
    }
    void create_queues(uint16_t id, uint16_t vector = 1) {
        m_rings[id] = {};
        for (GuestAddress at = ring_of(id); at < ring_of(id) + 0x2000; at += 8) {
            EXPECT_TRUE(m_machine.memory->write_value<uint64_t>(at, 0));
        }
        EXPECT_EQ(admin(command(nvme::k_create_completion_queue, 0, ring_of(id) + 0x1000, (k_entries - 1) << 16 | id,
                                uint32_t{vector} << 16 | 3))
                      .status,
                  0);
        EXPECT_EQ(admin(command(nvme::k_create_submission_queue, 0, ring_of(id), (k_entries - 1) << 16 | id, uint32_t{id} << 16 | 1))
                      .status,
                  0);
    }
    [[nodiscard]] static GuestAddress ring_of(uint16_t id) { return k_rings + id * 0x2000U; }

    static NvmeCommand command(uint8_t opcode, uint32_t nsid, uint64_t prp1, uint32_t cdw10 = 0, uint32_t cdw11 = 0,
                               uint32_t cdw12 = 0, uint64_t prp2 = 0) {
        NvmeCommand made;
        made.dwords[0] = opcode;
        made.dwords[1] = nsid;
        made.dwords[6] = static_cast<uint32_t>(prp1);
        made.dwords[7] = static_cast<uint32_t>(prp1 >> 32);
        made.dwords[8] = static_cast<uint32_t>(prp2);
        made.dwords[9] = static_cast<uint32_t>(prp2 >> 32);
        made.dwords[10] = cdw10;
        made.dwords[11] = cdw11;
        made.dwords[12] = cdw12;
        return made;
    }
    // blocks of 512 bytes
    static NvmeCommand transfer(uint8_t opcode, uint32_t lba, uint32_t blocks, uint64_t prp1 = k_data, uint64_t prp2 = 0) {
        return command(opcode, 1, prp1, lba, 0, blocks - 1, prp2);
    }

  private:
    struct Ring {
        uint32_t tail = 0;
        uint32_t head = 0;
        uint32_t phase = 1;
    };
    FakeMachine& m_machine;
    PciBus& m_bus;
    std::array<Ring, 3> m_rings{};
    uint16_t m_last_cid = 0x100;
};

// A controller, asked for one queue pair, on a disk of 1 MiB that holds a pattern.
struct NvmeMachine : FakeMachine {
    explicit NvmeMachine(bool read_only = false)
        : bus(context), disk(std::make_shared<MemoryBlock>(1 << 20, 512, read_only)) {
        context.pci = &bus;
        for (size_t i = 0; i < disk->data.size(); ++i) {
            disk->data[i] = static_cast<uint8_t>(i / 512 * 3 + i);
        }
        nvme = std::make_unique<NvmeController>(context, "nvme-disk0", NvmeDriver::k_address, disk,
                                                NvmeConfig{.serial = "SERIAL9", .queue_pairs = 1});
        nvme->reset();
        driver = std::make_unique<NvmeDriver>(*this, bus);
    }
    void bring_up() {
        driver->enable();
        driver->create_queues(1);
    }
    std::vector<uint8_t> guest_bytes(GuestAddress address, size_t size) {
        std::vector<uint8_t> bytes(size);
        EXPECT_TRUE(memory->read(address, bytes.data(), size));
        return bytes;
    }
    [[nodiscard]] std::vector<std::byte> saved() const {
        StateWriter writer;
        nvme->save(writer);
        return writer.bytes();
    }
    PciBus bus;
    std::shared_ptr<MemoryBlock> disk;
    std::unique_ptr<NvmeController> nvme;
    std::unique_ptr<NvmeDriver> driver;
};

}  // namespace skep::test
