// SPDX-License-Identifier: GPL-3.0-or-later
// The guest's side of an e1000 for tests: registers, a ring each way in guest RAM, descriptors by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "devices/net/e1000.hpp"
#include "devices/pci/pci_bus.hpp"
#include "tests/support/fake_machine.hpp"
#include "tests/support/fake_net.hpp"

namespace skep::test {

inline constexpr std::array<uint8_t, 6> k_e1000_mac{0x52, 0x54, 0, 1, 2, 3};

// A machine with the card and a back end.
struct E1000Machine : FakeMachine {
    static constexpr PciAddress k_address{6, 0};

    E1000Machine() {
        context.pci = &bus;
        card = std::make_unique<E1000>(context, "e1000-net0", k_address, cable, k_e1000_mac);
        card->reset();
        cable->connect(net);
    }
    PciBus bus{context};
    std::shared_ptr<FakeNet> net = std::make_shared<FakeNet>();
    std::shared_ptr<NetCable> cable = std::make_shared<NetCable>(NetCable::Link::up);
    std::unique_ptr<E1000> card;
};

class E1000Driver {
  public:
    static constexpr uint64_t k_registers = 0xc000'0000;
    static constexpr uint16_t k_ports = 0xc000;
    static constexpr uint32_t k_entries = 16;
    static constexpr GuestAddress k_send_ring = 0x1'0000;
    static constexpr GuestAddress k_receive_ring = 0x2'0000;
    static constexpr GuestAddress k_send_data = 0x3'0000;     // 0x1000 each
    static constexpr GuestAddress k_receive_data = 0x8'0000;  // 0x1000 each

    explicit E1000Driver(E1000Machine& machine) : m_machine(machine) { enable_pci(); }

    void enable_pci() {
        m_machine.bus.config_write(E1000Machine::k_address, 0x10, 4, k_registers);
        m_machine.bus.config_write(E1000Machine::k_address, 0x18, 4, k_ports);
        m_machine.bus.config_write(E1000Machine::k_address, 0x04, 2, 7);
    }
    uint32_t read(uint32_t offset) { return static_cast<uint32_t>(m_machine.mmio.read(k_registers + offset, 4)); }
    void write(uint32_t offset, uint32_t value) { m_machine.mmio.write(k_registers + offset, 4, value); }

    // Both ways on; so many receive buffers of 2048 bytes.
    void start(uint32_t buffers = k_entries - 1, uint32_t rctl = e1000::k_rctl_bam | e1000::k_rctl_secrc) {
        write(e1000::k_tdbal, k_send_ring);
        write(e1000::k_tdlen, k_entries * 16);
        write(e1000::k_tctl, e1000::k_tctl_en | e1000::k_tctl_psp);
        write(e1000::k_rdbal, k_receive_ring);
        write(e1000::k_rdlen, k_entries * 16);
        for (uint32_t index = 0; index < k_entries; ++index) {
            EXPECT_TRUE(m_machine.memory->write_value(k_receive_ring + index * 16, e1000::RxDescriptor{k_receive_data + index * 0x1000, 0, 0, 0, 0, 0}));
        }
        write(e1000::k_rdt, buffers);
        write(e1000::k_rctl, rctl | e1000::k_rctl_en);
        m_tail = 0;
    }
    void put(const e1000::TxDescriptor& descriptor) {
        EXPECT_TRUE(m_machine.memory->write_value(k_send_ring + m_tail * 16, descriptor));
        m_tail = (m_tail + 1) % k_entries;
    }
    // The bytes lie in guest memory afterwards; returns where.
    GuestAddress lay_down(const std::vector<uint8_t>& bytes) {
        const GuestAddress at = k_send_data + m_tail * 0x1000;
        EXPECT_TRUE(m_machine.memory->write(at, bytes.data(), bytes.size()));
        return at;
    }
    void put_legacy(const std::vector<uint8_t>& bytes, uint32_t flags = e1000::k_tx_eop | e1000::k_tx_rs, uint32_t upper = 0) {
        const GuestAddress at = lay_down(bytes);
        put({at, static_cast<uint32_t>(bytes.size()) | flags, upper});
    }
    void kick() { write(e1000::k_tdt, m_tail); }
    e1000::TxDescriptor sent(uint32_t index) {
        return *m_machine.memory->read_value<e1000::TxDescriptor>(k_send_ring + index * 16);
    }
    e1000::RxDescriptor received(uint32_t index) {
        return *m_machine.memory->read_value<e1000::RxDescriptor>(k_receive_ring + index * 16);
    }
    std::vector<uint8_t> received_bytes(uint32_t index) {
        std::vector<uint8_t> bytes(received(index).length);
        EXPECT_TRUE(m_machine.memory->read(k_receive_data + index * 0x1000, bytes.data(), bytes.size()));
        return bytes;
    }
    uint16_t read_phy(uint32_t number) {
        write(e1000::k_mdic, e1000::k_mdic_read | 1 << 21 | number << 16);
        EXPECT_EQ(read(e1000::k_mdic) & (e1000::k_mdic_ready | e1000::k_mdic_error), e1000::k_mdic_ready);
        return static_cast<uint16_t>(read(e1000::k_mdic));
    }
    void write_phy(uint32_t number, uint16_t value) { write(e1000::k_mdic, e1000::k_mdic_write | 1 << 21 | number << 16 | value); }

  private:
    E1000Machine& m_machine;
    uint32_t m_tail = 0;
};

}  // namespace skep::test
