// SPDX-License-Identifier: GPL-3.0-or-later
// The e1000 by its registers: identity, EEPROM, PHY, rings both ways, offloads, filters, interrupts.
#include "devices/net/e1000.hpp"

#include <gtest/gtest.h>

#include "tests/support/e1000_driver.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

using namespace e1000;

class E1000Test : public ::testing::Test {
  protected:
    // One bit of the EEPROM's wires: DI, clock up, clock down; what DO said while the clock was up.
    bool clock_bit(bool in) {
        const uint32_t quiet = k_eecd_cs | (in ? k_eecd_di : 0);
        driver.write(k_eecd, quiet);
        driver.write(k_eecd, quiet | k_eecd_sk);
        const bool out = (driver.read(k_eecd) & k_eecd_do) != 0;
        driver.write(k_eecd, quiet);
        return out;
    }
    void clock_out(uint32_t value, unsigned count) {
        while (count-- != 0) {
            clock_bit((value >> count & 1) != 0);
        }
    }
    uint16_t read_word_by_wire(uint32_t address) {
        driver.write(k_eecd, k_eecd_req);
        EXPECT_NE(driver.read(k_eecd) & k_eecd_gnt, 0U);
        clock_out(0b110, 3);
        clock_out(address, 6);
        uint16_t word = 0;
        for (unsigned index = 0; index < 16; ++index) {
            word = static_cast<uint16_t>(word << 1 | (clock_bit(false) ? 1 : 0));
        }
        driver.write(k_eecd, 0);
        return word;
    }
    uint16_t read_word(uint32_t address) {
        driver.write(k_eerd, address << 8 | k_eerd_start);
        EXPECT_NE(driver.read(k_eerd) & k_eerd_done, 0U);
        return static_cast<uint16_t>(driver.read(k_eerd) >> 16);
    }
    // An IPv4 TCP packet without its sums, with so much data.
    static std::vector<uint8_t> tcp_packet(size_t data) {
        std::vector<uint8_t> frame(54 + data);
        std::copy(k_e1000_mac.begin(), k_e1000_mac.end(), frame.begin());
        const std::array<uint8_t, 42> headers{0x08, 0,    0x45, 0, 0, 0, 0x12, 0x34, 0,    0, 64, 6, 0, 0, 10, 0, 2,  15, 10, 0, 2,
                                              2,    0x04, 0,    0, 80, 0, 0,   0,    0x10, 0, 0,  0, 0, 0x50, 0x19, 1, 0, 0, 0, 0, 0};
        std::copy(headers.begin(), headers.end(), frame.begin() + 12);
        for (size_t at = 54; at < frame.size(); ++at) {
            frame[at] = static_cast<uint8_t>(at * 7);
        }
        return frame;
    }
    bool pin() {
        for (const auto& [line, level] : machine.irqs.levels) {
            if (level) {
                return true;
            }
        }
        return false;
    }

    E1000Machine machine;
    E1000Driver driver{machine};
};

TEST_F(E1000Test, identity_is_an_82540em) {
    EXPECT_EQ(machine.bus.config_read(E1000Machine::k_address, 0, 4), 0x100e8086U);
    EXPECT_EQ(machine.bus.config_read(E1000Machine::k_address, 8, 4) >> 8, 0x020000U);
    EXPECT_EQ(driver.read(k_status) & (k_status_fd | k_status_lu), k_status_fd | k_status_lu);
}

TEST_F(E1000Test, eeprom_tells_the_address_by_register_and_by_wire_and_its_sum_is_right) {
    uint16_t sum = 0;
    for (uint32_t word = 0; word < 64; ++word) {
        const uint16_t value = read_word(word);
        EXPECT_EQ(read_word_by_wire(word), value) << word;
        sum = static_cast<uint16_t>(sum + value);
    }
    EXPECT_EQ(sum, 0xbaba);
    EXPECT_EQ(read_word(0), 0x5452);
    EXPECT_EQ(read_word(2), 0x0302);
    EXPECT_EQ(driver.read(k_ra), 0x01005452U);
    EXPECT_EQ(driver.read(k_ra + 4), k_rah_av | 0x0302U);
}

TEST_F(E1000Test, eeprom_takes_a_word_by_wire_once_writing_is_allowed) {
    const auto write_word = [&](uint16_t value) {
        driver.write(k_eecd, 0);
        clock_out(0b101, 3);
        clock_out(0x20, 6);
        clock_out(value, 16);
        driver.write(k_eecd, 0);
    };
    write_word(0x1234);
    EXPECT_EQ(read_word(0x20), 0xffff);
    clock_out(0b100'11'0000, 9);  // EWEN
    write_word(0x1234);
    EXPECT_EQ(read_word(0x20), 0x1234);
    EXPECT_EQ(read_word_by_wire(0x20), 0x1234);
}

TEST_F(E1000Test, phy_has_negotiated_a_gigabit_and_tells_of_a_pulled_cable) {
    EXPECT_EQ(driver.read_phy(2), 0x0141);
    EXPECT_EQ(driver.read_phy(3) & 0xfff0, 0x0c20);
    EXPECT_EQ(driver.read_phy(1) & 0x24, 0x24);
    driver.write(k_ims, k_int_lsc);
    machine.cable->set_link(NetCable::Link::down);
    EXPECT_TRUE(pin());
    EXPECT_EQ(driver.read(k_icr), k_int_lsc);
    EXPECT_FALSE(pin());
    EXPECT_EQ(driver.read(k_status) & k_status_lu, 0U);
    EXPECT_EQ(driver.read_phy(1) & 4, 0);
    machine.cable->set_link(NetCable::Link::up);
    EXPECT_EQ(driver.read_phy(1) & 4, 0) << "latched until read";
    EXPECT_EQ(driver.read_phy(1) & 4, 4);
    driver.write(k_mdic, k_mdic_read | 2 << 21);
    EXPECT_NE(driver.read(k_mdic) & k_mdic_error, 0U) << "there is no other PHY";
}

TEST_F(E1000Test, legacy_descriptors_of_one_tail_write_go_out_in_order_and_are_written_back) {
    driver.start();
    driver.write(k_ims, k_int_txdw);
    const auto first = frame_to(k_e1000_mac, 100);
    driver.put_legacy(first);
    const auto second = frame_to(k_e1000_mac, 1000);
    driver.put_legacy({second.begin(), second.begin() + 300}, 0);
    driver.put_legacy({second.begin() + 300, second.end()});
    driver.put_legacy({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
    driver.kick();
    ASSERT_EQ(machine.net->sent.size(), 3U);
    EXPECT_EQ(machine.net->sent[0].bytes, first);
    EXPECT_EQ(machine.net->sent[1].bytes, second);
    EXPECT_EQ(machine.net->sent[2].bytes.size(), 60U) << "padded";
    EXPECT_EQ(driver.read(k_tdh), 4U);
    EXPECT_EQ(driver.sent(0).upper & k_tx_dd, k_tx_dd);
    EXPECT_EQ(driver.sent(1).upper & k_tx_dd, 0U);
    EXPECT_TRUE(pin());
    EXPECT_EQ(driver.read(k_icr), k_int_txdw | k_int_txqe);
    EXPECT_EQ(driver.read(k_gptc), 3U);
    EXPECT_EQ(driver.read(k_gptc), 0U) << "cleared by reading";
}

TEST_F(E1000Test, checksums_are_put_where_the_context_says) {
    driver.start();
    auto packet = tcp_packet(101);
    const std::span<uint8_t> frame(packet);
    store_be<uint16_t>(&packet[16], static_cast<uint16_t>(packet.size() - 14));
    auto expected = packet;
    write_checksums(expected, frame_layout(expected));
    const FrameLayout layout = frame_layout(packet);
    store_be<uint16_t>(&packet[50], static_cast<uint16_t>(~finish_sum(pseudo_header_sum(packet, layout, 20 + 101))));
    const uint64_t places = 14 | 24ULL << 8 | 33ULL << 16 | 34ULL << 32 | 50ULL << 40;
    driver.put({places, k_tx_dext | k_tx_context_ip4 | k_tx_context_tcp, 0});
    const GuestAddress at = driver.lay_down(packet);
    driver.put({at, static_cast<uint32_t>(packet.size()) | k_tx_data | k_tx_dext | k_tx_eop, k_tx_popts_ixsm | k_tx_popts_txsm});
    driver.kick();
    ASSERT_EQ(machine.net->sent.size(), 1U);
    EXPECT_EQ(machine.net->sent[0].bytes, expected);
}

TEST_F(E1000Test, segmented_packet_goes_out_whole_with_lengths_and_sums_for_the_back_end) {
    driver.start();
    constexpr size_t k_data = 5000;
    const auto packet = tcp_packet(k_data);
    const uint64_t places = 14 | 24ULL << 8 | 33ULL << 16 | 34ULL << 32 | 50ULL << 40;
    driver.put({places, static_cast<uint32_t>(k_data) | k_tx_dext | k_tx_tse | k_tx_context_ip4 | k_tx_context_tcp,
                54U << 8 | 1460U << 16});
    const GuestAddress at = driver.lay_down({packet.begin(), packet.begin() + 54});
    driver.put({at, 54 | k_tx_data | k_tx_dext | k_tx_tse, k_tx_popts_ixsm | k_tx_popts_txsm});
    ASSERT_TRUE(machine.memory->write(0x6'0000, &packet[54], k_data));
    driver.put({0x6'0000, k_data | k_tx_data | k_tx_dext | k_tx_tse | k_tx_eop, k_tx_popts_ixsm | k_tx_popts_txsm});
    driver.kick();
    ASSERT_EQ(machine.net->sent.size(), 1U);
    const auto& sent = machine.net->sent[0];
    EXPECT_EQ(sent.header.gso_type, net::k_gso_tcp4);
    EXPECT_EQ(sent.header.gso_size, 1460);
    EXPECT_EQ(sent.header.csum_start, 34);
    EXPECT_EQ(load_be<uint16_t>(&sent.bytes[16]), 40 + k_data);
    unsigned segments = 0;
    EXPECT_TRUE(segment_tcp(sent.bytes, sent.header.gso_size, [&](std::span<const uint8_t>) { ++segments; }));
    EXPECT_EQ(segments, 4U);
}

TEST_F(E1000Test, packet_beyond_64_kib_goes_out_in_parts_that_follow_each_other) {
    driver.start();
    constexpr uint32_t k_data = 100'000;
    const auto packet = tcp_packet(0);
    driver.put({14 | 24ULL << 8 | 33ULL << 16 | 34ULL << 32 | 50ULL << 40,
                k_data | k_tx_dext | k_tx_tse | k_tx_context_ip4 | k_tx_context_tcp, 54U << 8 | 1000U << 16});
    const GuestAddress at = driver.lay_down(packet);
    driver.put({at, 54 | k_tx_data | k_tx_dext | k_tx_tse, 0});
    driver.put({0x6'0000, k_data | k_tx_data | k_tx_dext | k_tx_tse | k_tx_eop, 0});
    driver.kick();
    ASSERT_EQ(machine.net->sent.size(), 2U);
    const auto& first = machine.net->sent[0].bytes;
    const auto& second = machine.net->sent[1].bytes;
    EXPECT_EQ(first.size() + second.size(), k_data + 108U);
    EXPECT_EQ(load_be<uint32_t>(&second[38]), load_be<uint32_t>(&first[38]) + first.size() - 54);
    EXPECT_EQ(first[47] & 0x09, 0) << "FIN and PSH are the last one's";
    EXPECT_EQ(second[47] & 0x09, 0x09);
}

TEST_F(E1000Test, full_back_end_holds_the_ring_until_it_has_room) {
    driver.start();
    machine.net->room = 1;
    for (unsigned frame = 0; frame < 3; ++frame) {
        driver.put_legacy(frame_to(k_e1000_mac, 60 + frame));
    }
    driver.kick();
    EXPECT_EQ(machine.net->sent.size(), 1U);
    machine.net->room = 10;
    machine.net->sink->room();
    ASSERT_EQ(machine.net->sent.size(), 3U);
    EXPECT_EQ(machine.net->sent[2].bytes.size(), 62U);
}

TEST_F(E1000Test, arriving_frame_lands_in_its_buffer_with_status_and_interrupt) {
    driver.start();
    driver.write(k_ims, k_int_rxt0);
    const auto frame = frame_to(k_e1000_mac, 300);
    ASSERT_TRUE(machine.net->give(frame));
    EXPECT_EQ(driver.received(0).status & (k_rx_dd | k_rx_eop), k_rx_dd | k_rx_eop);
    EXPECT_EQ(driver.received_bytes(0), frame);
    EXPECT_EQ(driver.read(k_rdh), 1U);
    EXPECT_TRUE(pin());
    EXPECT_NE(driver.read(k_icr) & k_int_rxt0, 0U);
    EXPECT_EQ(driver.read(k_gprc), 1U);
}

TEST_F(E1000Test, crc_comes_behind_the_frame_unless_it_is_to_be_stripped) {
    driver.start(15, k_rctl_bam);
    const auto frame = frame_to(k_e1000_mac, 100);
    ASSERT_TRUE(machine.net->give(frame));
    const auto bytes = driver.received_bytes(0);
    ASSERT_EQ(bytes.size(), 104U);
    // 802.3, 3.2.9: over a frame with its CRC the register always ends the same.
    uint32_t crc = ~0U;
    for (const uint8_t byte : bytes) {
        crc ^= byte;
        for (unsigned turn = 0; turn < 8; ++turn) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
        }
    }
    EXPECT_EQ(crc, 0xdebb20e3U);
}

TEST_F(E1000Test, frame_longer_than_a_buffer_takes_several_descriptors) {
    driver.start(15, k_rctl_secrc | 2 << k_rctl_bsize_shift);  // of 512 bytes
    const auto frame = frame_to(k_e1000_mac, 1300);
    ASSERT_TRUE(machine.net->give(frame));
    EXPECT_EQ(driver.received(0).status & (k_rx_dd | k_rx_eop), k_rx_dd);
    EXPECT_EQ(driver.received(2).status & (k_rx_dd | k_rx_eop), k_rx_dd | k_rx_eop);
    EXPECT_EQ(driver.received(0).length, 512);
    EXPECT_EQ(driver.received(2).length, 1300 - 1024);
    EXPECT_EQ(driver.read(k_rdh), 3U);
}

TEST_F(E1000Test, without_descriptors_the_back_end_waits_for_the_driver) {
    driver.start(1);
    ASSERT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60)));
    EXPECT_NE(driver.read(k_icr) & k_int_rxdmt0, 0U);
    EXPECT_FALSE(machine.net->give(frame_to(k_e1000_mac, 61)));
    const unsigned before = machine.net->ready;
    driver.write(k_rdt, 5);
    EXPECT_EQ(machine.net->ready, before + 1);
    EXPECT_TRUE(machine.net->give(frame_to(k_e1000_mac, 61)));
    EXPECT_EQ(driver.received(1).length, 61);
}

TEST_F(E1000Test, filters_take_what_is_asked_for_and_nothing_else) {
    driver.start();
    const auto taken = [&](std::array<uint8_t, 6> mac) {
        const uint32_t before = driver.read(k_rdh);
        EXPECT_TRUE(machine.net->give(frame_to(mac, 60)));
        driver.write(k_rdt, (driver.read(k_rdh) + 15) % 16);
        return driver.read(k_rdh) != before;
    };
    constexpr std::array<uint8_t, 6> k_other{0x52, 0x54, 0, 9, 9, 9};
    constexpr std::array<uint8_t, 6> k_group{0x01, 0, 0x5e, 0, 0, 0xfb};
    constexpr std::array<uint8_t, 6> k_all{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    EXPECT_TRUE(taken(k_e1000_mac));
    EXPECT_TRUE(taken(k_all));
    EXPECT_FALSE(taken(k_other));
    EXPECT_FALSE(taken(k_group));
    const uint32_t hash = (0xfb00 >> 4) & 0xfff;
    driver.write(k_mta + hash / 32 * 4, 1U << hash % 32);
    EXPECT_TRUE(taken(k_group));
    driver.write(k_ra + 8, 0x09005452);
    driver.write(k_ra + 12, k_rah_av | 0x0909);
    EXPECT_TRUE(taken(k_other));
    driver.write(k_ra + 12, 0);
    driver.write(k_rctl, k_rctl_en | k_rctl_upe | k_rctl_secrc);
    EXPECT_TRUE(taken(k_other));
    EXPECT_FALSE(taken(k_all));
}

TEST_F(E1000Test, tags_are_taken_off_and_put_in_and_filtered) {
    driver.start();
    driver.write(k_vet, 0x8100);
    driver.write(k_ctrl, driver.read(k_ctrl) | k_ctrl_vme);
    auto tagged = frame_to(k_e1000_mac, 104);
    store_be<uint16_t>(&tagged[12], 0x8100);
    store_be<uint16_t>(&tagged[14], 0x2005);
    ASSERT_TRUE(machine.net->give(tagged));
    EXPECT_EQ(driver.received(0).status & k_rx_vp, k_rx_vp);
    EXPECT_EQ(driver.received(0).special, 0x2005);
    EXPECT_EQ(driver.received(0).length, 100);
    driver.write(k_rctl, driver.read(k_rctl) | k_rctl_vfe);
    ASSERT_TRUE(machine.net->give(tagged));
    EXPECT_EQ(driver.read(k_rdh), 1U);
    driver.write(k_vfta, 1 << 5);
    ASSERT_TRUE(machine.net->give(tagged));
    EXPECT_EQ(driver.read(k_rdh), 2U);
    driver.put_legacy(frame_to(k_e1000_mac, 100), k_tx_eop | k_tx_vle, 0x2005U << 16);
    driver.kick();
    ASSERT_EQ(machine.net->sent.size(), 1U);
    EXPECT_EQ(machine.net->sent[0].bytes.size(), 104U);
    EXPECT_EQ(load_be<uint32_t>(&machine.net->sent[0].bytes[12]), 0x81002005U);
}

TEST_F(E1000Test, wrong_checksums_are_told_and_right_ones_too) {
    driver.start();
    driver.write(k_rxcsum, k_rxcsum_ipofld | k_rxcsum_tuofld);
    auto packet = tcp_packet(100);
    store_be<uint16_t>(&packet[16], 140);
    write_checksums(packet, frame_layout(packet));
    ASSERT_TRUE(machine.net->give(packet));
    EXPECT_EQ(driver.received(0).status & (k_rx_tcpcs | k_rx_ipcs), k_rx_tcpcs | k_rx_ipcs);
    EXPECT_EQ(driver.received(0).errors, 0);
    packet[60] ^= 1;
    ASSERT_TRUE(machine.net->give(packet));
    EXPECT_EQ(driver.received(1).errors, k_rx_tcpe);
    // What only the sender's host knows to be right is completed.
    store_be<uint16_t>(&packet[50], static_cast<uint16_t>(~finish_sum(pseudo_header_sum(packet, frame_layout(packet), 120))));
    ASSERT_TRUE(machine.net->give(packet, {.flags = net::k_needs_csum, .csum_start = 34, .csum_offset = 16}));
    EXPECT_EQ(driver.received(2).errors, 0);
    auto expected = packet;
    write_checksums(expected, frame_layout(expected));
    EXPECT_EQ(driver.received_bytes(2), expected);
}

TEST_F(E1000Test, throttled_interrupts_keep_their_distance) {
    driver.start();
    driver.write(k_itr, 4000);  // 1.024 ms
    driver.write(k_ims, k_int_rxt0);
    ASSERT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60)));
    EXPECT_TRUE(pin());
    driver.read(k_icr);
    ASSERT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60)));
    EXPECT_FALSE(pin());
    machine.clock.advance(1'000'000);
    EXPECT_FALSE(pin());
    machine.clock.advance(30'000);
    EXPECT_TRUE(pin());
}

TEST_F(E1000Test, delayed_interrupt_waits_for_more_frames_but_not_for_ever) {
    driver.start();
    driver.write(k_rdtr, 100);
    driver.write(k_radv, 150);
    driver.write(k_ims, k_int_rxt0);
    for (unsigned frame = 0; frame < 3; ++frame) {
        ASSERT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60)));
        EXPECT_FALSE(pin());
        machine.clock.advance(frame < 2 ? 60 * 1024 : 29 * 1024);
    }
    EXPECT_FALSE(pin());
    machine.clock.advance(1024);
    EXPECT_TRUE(pin());
}

TEST_F(E1000Test, reset_by_register_forgets_all_but_the_phy) {
    driver.start();
    driver.write_phy(16, 0x0068);
    driver.write(k_ctrl, driver.read(k_ctrl) | k_ctrl_rst);
    EXPECT_EQ(driver.read(k_ctrl) & k_ctrl_rst, 0U);
    EXPECT_EQ(driver.read(k_rctl), 0U);
    EXPECT_EQ(driver.read(k_ra + 4), k_rah_av | 0x0302U);
    EXPECT_EQ(driver.read_phy(16), 0x0068);
    EXPECT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60))) << "lost: nobody receives";
}

TEST_F(E1000Test, io_ports_reach_the_registers) {
    machine.ports.write(E1000Driver::k_ports, 4, k_status);
    EXPECT_EQ(machine.ports.read(E1000Driver::k_ports + 4, 4), driver.read(k_status));
    machine.ports.write(E1000Driver::k_ports, 4, k_vet);
    machine.ports.write(E1000Driver::k_ports + 4, 4, 0x8100);
    EXPECT_EQ(driver.read(k_vet), 0x8100U);
}

TEST_F(E1000Test, hostile_rings_are_reported_and_left_alone) {
    driver.start();
    driver.write(k_tdt, 0xffff);
    driver.write(k_tdlen, 0);
    driver.write(k_tdt, 1);
    driver.write(k_tdlen, E1000Driver::k_entries * 16);
    driver.write(k_tdbah, 0xffff'ffff);
    driver.write(k_tdt, 3);
    driver.write(k_rdbah, 0xffff'ffff);
    EXPECT_TRUE(machine.net->give(frame_to(k_e1000_mac, 60)));
    EXPECT_TRUE(machine.net->sent.empty());
}

TEST_F(E1000Test, saved_card_goes_on_in_the_middle_of_a_packet) {
    driver.start();
    driver.write(k_ims, k_int_rxt0);
    const auto frame = frame_to(k_e1000_mac, 500);
    driver.put_legacy({frame.begin(), frame.begin() + 200}, 0);
    driver.kick();
    machine.card->pause();
    StateWriter writer;
    machine.card->save(writer);
    E1000Machine other;
    E1000Driver other_driver(other);
    ASSERT_TRUE(other.memory->write(0, machine.memory->ram().data(), machine.memory->ram_bytes()));
    other.card->pause();
    StateReader reader(writer.bytes());
    other.card->load(reader);
    ASSERT_TRUE(reader.ok() && reader.at_end()) << (reader.ok() ? "" : reader.status().error().message);
    StateWriter again;
    other.card->save(again);
    EXPECT_EQ(again.bytes(), writer.bytes());
    other.card->resume();
    ASSERT_TRUE(other.memory->write(0x7'0000, &frame[200], 300));
    ASSERT_TRUE(other.memory->write_value(E1000Driver::k_send_ring + 16, TxDescriptor{0x7'0000, 300 | k_tx_eop, 0}));
    other_driver.write(k_tdt, 2);
    ASSERT_EQ(other.net->sent.size(), 1U);
    EXPECT_EQ(other.net->sent[0].bytes, frame);
}

}  // namespace
}  // namespace skep::test
