// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "devices/net/net_cable.hpp"
#include "devices/net/null_backend.hpp"
#include "devices/virtio/virtio_net.hpp"
#include "devices/virtio/virtio_net_device.hpp"
#include "tests/support/fake_net.hpp"
#include "tests/support/virtio_driver.hpp"

namespace skep::test {
namespace {

using namespace virtio_net;

constexpr std::array<uint8_t, 6> k_our_mac{0x52, 0x54, 0, 1, 2, 3};
constexpr uint16_t k_receive = 0, k_send = 1;

class VirtioNetTest : public ::testing::Test {
  protected:
    explicit VirtioNetTest(unsigned pairs = 1)
        : bus(machine.context),
          card(context(), "virtio-net-net0", VirtioDriver::k_address,
               make_virtio_net(*machine.memory, cable, {.mac = k_our_mac, .queue_pairs = pairs})),
          driver(machine, bus) {
        cable->connect(net);
    }
    DeviceContext& context() {
        machine.context.pci = &bus;
        return machine.context;
    }
    void start(uint64_t features, unsigned queues = 3) {
        ASSERT_TRUE(driver.negotiate(features | virtio::k_feature_version_1));
        for (uint16_t queue = 0; queue < queues; ++queue) {
            driver.set_up_queue(queue);
        }
        driver.driver_ok();
    }
    // A frame with its header, made available in two buffers.
    void queue_frame(uint16_t head, const std::vector<uint8_t>& bytes, NetHeader header = {}) {
        const GuestAddress at = VirtioDriver::k_buffers + head * 0x2000U;
        ASSERT_TRUE(machine.memory->write(at, &header, sizeof header));
        ASSERT_TRUE(machine.memory->write(at + 0x100, bytes.data(), bytes.size()));
        driver.add(k_send, head, {{at, sizeof header, false}, {at + 0x100, static_cast<uint32_t>(bytes.size()), false}});
    }
    void add_receive_buffer(uint16_t head, uint32_t bytes) {
        driver.add(k_receive, head, {{VirtioDriver::k_buffers + 0x2'0000 + head * 0x1000U, bytes, true}});
    }
    std::vector<uint8_t> received(uint16_t head, uint32_t bytes) {
        std::vector<uint8_t> data(bytes);
        EXPECT_TRUE(machine.memory->read(VirtioDriver::k_buffers + 0x2'0000 + head * 0x1000U, data.data(), bytes));
        return data;
    }
    uint8_t command(uint8_t group, uint8_t number, const std::vector<uint8_t>& data) {
        constexpr GuestAddress k_at = VirtioDriver::k_buffers + 0x1'8000;
        const std::array<uint8_t, 2> words{group, number};
        EXPECT_TRUE(machine.memory->write(k_at, words.data(), words.size()));
        EXPECT_TRUE(machine.memory->write(k_at + 16, data.data(), data.size()));
        const uint16_t before = driver.used_index(2);
        driver.add(2, 0, {{k_at, 2, false}, {k_at + 16, static_cast<uint32_t>(data.size()), false}, {k_at + 0x800, 1, true}});
        driver.kick(2);
        EXPECT_EQ(driver.used_index(2), before + 1);
        return *machine.memory->read_value<uint8_t>(k_at + 0x800);
    }

    FakeMachine machine;
    PciBus bus;
    std::shared_ptr<FakeNet> net = std::make_shared<FakeNet>();
    std::shared_ptr<NetCable> cable = std::make_shared<NetCable>(NetCable::Link::up);
    VirtioPci card;
    VirtioDriver driver;
};

TEST_F(VirtioNetTest, config_tells_mac_link_and_mtu) {
    start(k_mac | k_status | k_mtu);
    for (uint32_t index = 0; index < 6; ++index) {
        EXPECT_EQ(driver.device_config(index, 1), k_our_mac[index]);
    }
    EXPECT_EQ(driver.device_config(6, 2), 1U);
    EXPECT_EQ(driver.device_config(10, 2), 1500U);
}

TEST_F(VirtioNetTest, frames_of_one_notification_go_out_in_order_with_their_headers) {
    start(k_csum | k_host_tso4);
    const auto small = frame_to(k_our_mac, 60);
    const auto large = frame_to(k_our_mac, 4000);
    queue_frame(0, small);
    queue_frame(2, large, {.flags = 1, .gso_type = 1, .hdr_len = 54, .gso_size = 1460, .csum_start = 34, .csum_offset = 16});
    driver.kick(k_send);
    ASSERT_EQ(net->sent.size(), 2U);
    EXPECT_EQ(net->sent[0].bytes, small);
    EXPECT_EQ(net->sent[1].bytes, large);
    EXPECT_EQ(net->sent[1].header.gso_size, 1460);
    EXPECT_EQ(driver.used_index(k_send), 2);
    EXPECT_EQ(cable->counters().bytes_sent, 4060U);
}

TEST_F(VirtioNetTest, header_that_was_not_negotiated_or_leads_out_of_the_frame_loses_the_frame) {
    start(k_csum);
    queue_frame(0, frame_to(k_our_mac, 60), {.gso_type = 1, .gso_size = 100});
    queue_frame(2, frame_to(k_our_mac, 60), {.flags = 1, .csum_start = 50, .csum_offset = 9});
    queue_frame(4, frame_to(k_our_mac, 60));
    driver.kick(k_send);
    EXPECT_EQ(net->sent.size(), 1U);
    EXPECT_EQ(driver.used_index(k_send), 3);
}

TEST_F(VirtioNetTest, full_back_end_holds_the_rest_until_it_has_room) {
    start(0);
    net->room = 1;
    for (const uint16_t head : {0, 2, 4}) {
        queue_frame(head, frame_to(k_our_mac, 60U + head));
    }
    driver.kick(k_send);
    EXPECT_EQ(driver.used_index(k_send), 1);
    net->room = 1000;
    net->sink->room();
    EXPECT_EQ(driver.used_index(k_send), 3);
    ASSERT_EQ(net->sent.size(), 3U);
    EXPECT_EQ(net->sent[2].bytes.size(), 64U);
}

// A driver that is as fast as the card: whenever frames are taken there are new ones, without another notification.
class TirelessDriver final : public NetBackend {
  public:
    TirelessDriver(NetThread& thread, std::function<void()> add) : m_nowhere(thread), m_add(std::move(add)) {}
    void attach(NetSink* sink) override { m_nowhere.attach(sink); }
    size_t send(std::span<const NetFrame> frames) override {
        for (size_t index = 0; index < frames.size(); ++index) {
            m_add();
        }
        return m_nowhere.send(frames);
    }
    void request_room() override { m_nowhere.request_room(); }
    void sink_ready() override { m_nowhere.sink_ready(); }

  private:
    NullBackend m_nowhere;
    std::function<void()> m_add;
};

TEST_F(VirtioNetTest, endless_frames_of_one_notification_all_go_where_nobody_is) {
    constexpr uint16_t k_frames = 5000;
    NetThread thread;
    start(0);
    uint16_t added = 0;
    const auto add = [&] {
        if (added < k_frames) {
            queue_frame(static_cast<uint16_t>(added++ % 8 * 2), frame_to(k_our_mac, 60));
        }
    };
    cable->connect(std::make_shared<TirelessDriver>(thread, add));
    for (unsigned index = 0; index < 8; ++index) {
        add();
    }
    driver.kick(k_send);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (driver.used_index(k_send) != k_frames && std::chrono::steady_clock::now() < give_up) {
        thread.run([] {});
        std::this_thread::yield();
    }
    EXPECT_EQ(driver.used_index(k_send), k_frames);
    cable->connect(net);
}

TEST_F(VirtioNetTest, held_frames_are_on_the_ring_again_after_pause_and_load) {
    start(0);
    net->room = 1;
    for (const uint16_t head : {0, 2, 4}) {
        queue_frame(head, frame_to(k_our_mac, 60U + head));
    }
    driver.kick(k_send);
    card.pause();
    StateWriter writer;
    card.save(writer);
    StateReader reader(writer.bytes());
    card.load(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end());
    StateWriter again;
    card.save(again);
    EXPECT_EQ(writer.bytes(), again.bytes());
    net->room = 1000;
    card.resume();
    EXPECT_GE(net->room_requests, 1U);
    net->sink->room();
    EXPECT_EQ(driver.used_index(k_send), 3);
    ASSERT_EQ(net->sent.size(), 3U);
    EXPECT_EQ(net->sent[1].bytes.size(), 62U);
}

TEST_F(VirtioNetTest, received_frame_lies_behind_its_header) {
    start(k_mrg_rxbuf);
    add_receive_buffer(0, 2048);
    const auto frame = frame_to(k_our_mac, 100);
    EXPECT_TRUE(net->give(frame));
    ASSERT_EQ(driver.used_index(k_receive), 1);
    EXPECT_EQ(driver.used(k_receive, 0).length, 112U);
    auto data = received(0, 112);
    EXPECT_EQ(data[10], 1);  // num_buffers
    data.erase(data.begin(), data.begin() + 12);
    EXPECT_EQ(data, frame);
}

TEST_F(VirtioNetTest, large_frame_fills_several_buffers_that_become_used_together) {
    start(k_mrg_rxbuf);
    for (const uint16_t head : {0, 1, 2}) {
        add_receive_buffer(head, 512);
    }
    const auto frame = frame_to(k_our_mac, 1200);
    EXPECT_TRUE(net->give(frame));
    ASSERT_EQ(driver.used_index(k_receive), 3);
    EXPECT_EQ(received(0, 12)[10], 3);
    std::vector<uint8_t> whole = received(0, 512);
    for (const uint16_t head : {1, 2}) {
        const auto more = received(head, driver.used(k_receive, head).length);
        whole.insert(whole.end(), more.begin(), more.end());
    }
    whole.erase(whole.begin(), whole.begin() + 12);
    EXPECT_EQ(whole, frame);
}

TEST_F(VirtioNetTest, frame_without_buffers_waits_and_the_next_notification_asks_for_it) {
    start(k_mrg_rxbuf);
    add_receive_buffer(0, 100);
    net->ready = 0;
    EXPECT_FALSE(net->give(frame_to(k_our_mac, 300)));
    EXPECT_EQ(driver.used_index(k_receive), 0);
    add_receive_buffer(1, 2048);
    driver.kick(k_receive);
    EXPECT_EQ(net->ready, 1U);
    EXPECT_TRUE(net->give(frame_to(k_our_mac, 300)));
    EXPECT_EQ(driver.used_index(k_receive), 2);
}

TEST_F(VirtioNetTest, without_a_driver_frames_are_lost_and_while_paused_they_wait) {
    EXPECT_TRUE(net->give(frame_to(k_our_mac, 100)));
    start(k_mrg_rxbuf);
    add_receive_buffer(0, 2048);
    card.pause();
    EXPECT_FALSE(net->give(frame_to(k_our_mac, 100)));
    card.resume();
    EXPECT_TRUE(net->give(frame_to(k_our_mac, 100)));
    EXPECT_EQ(driver.used_index(k_receive), 1);
}

TEST_F(VirtioNetTest, filter_takes_what_the_driver_asked_for) {
    start(k_mrg_rxbuf | k_ctrl_vq | k_ctrl_rx);
    for (const uint16_t head : {0, 1, 2, 3}) {
        add_receive_buffer(head, 2048);
    }
    EXPECT_EQ(command(0, 0, {0}), 0);  // not promiscuous
    constexpr std::array<uint8_t, 6> k_other{0x52, 0x54, 0, 9, 9, 9}, k_group{0x33, 0x33, 0, 0, 0, 1};
    EXPECT_TRUE(net->give(frame_to(k_other, 100)));
    EXPECT_TRUE(net->give(frame_to(k_group, 100)));
    EXPECT_EQ(driver.used_index(k_receive), 0);
    EXPECT_TRUE(net->give(frame_to(k_our_mac, 100)));
    EXPECT_TRUE(net->give(frame_to({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 100)));
    EXPECT_EQ(command(1, 0, {0, 0, 0, 0, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1}), 0);
    EXPECT_TRUE(net->give(frame_to(k_group, 100)));
    EXPECT_EQ(driver.used_index(k_receive), 3);
    EXPECT_EQ(command(1, 0, {0xff, 0xff, 0xff, 0xff}), 1);
}

TEST_F(VirtioNetTest, offloads_of_the_driver_reach_the_back_end_and_can_be_taken_back) {
    start(k_mrg_rxbuf | k_guest_csum | k_guest_tso4 | k_ctrl_vq | k_ctrl_guest_offloads);
    EXPECT_TRUE(net->offloads.checksum && net->offloads.tcp4 && !net->offloads.tcp6);
    EXPECT_EQ(command(5, 0, {2, 0, 0, 0, 0, 0, 0, 0}), 0);
    EXPECT_FALSE(net->offloads.tcp4);
    EXPECT_EQ(command(5, 0, {0, 1, 0, 0, 0, 0, 0, 0}), 1);  // not negotiated
}

TEST_F(VirtioNetTest, pulled_cable_is_told_and_loses_frames) {
    start(k_status | k_mrg_rxbuf);
    add_receive_buffer(0, 2048);
    cable->set_link(NetCable::Link::down);
    EXPECT_EQ(driver.device_config(6, 2), 0U);
    EXPECT_EQ(driver.isr() & 2, 2U);
    queue_frame(0, frame_to(k_our_mac, 60));
    driver.kick(k_send);
    EXPECT_EQ(driver.used_index(k_send), 1);
    EXPECT_TRUE(net->sent.empty());
    EXPECT_TRUE(net->give(frame_to(k_our_mac, 60)));
    EXPECT_EQ(driver.used_index(k_receive), 0);
    cable->set_link(NetCable::Link::up);
    EXPECT_EQ(driver.device_config(6, 2), 1U);
}

TEST_F(VirtioNetTest, guest_is_known_by_what_it_sends) {
    start(0);
    std::vector<uint8_t> arp(60);
    arp[12] = 0x08;
    arp[13] = 0x06;
    arp[16] = 0x08;
    const std::array<uint8_t, 4> address{10, 0, 2, 15};
    std::copy(address.begin(), address.end(), arp.begin() + 28);
    queue_frame(0, arp);
    driver.kick(k_send);
    EXPECT_EQ(cable->addresses().ip4(), "10.0.2.15");
    EXPECT_EQ(cable->addresses().ip6(), "");
}

TEST_F(VirtioNetTest, reset_goes_back_to_the_cards_own_address) {
    start(k_ctrl_vq | k_ctrl_mac_addr);
    EXPECT_EQ(command(1, 1, {0x52, 0x54, 0, 7, 7, 7}), 0);
    EXPECT_EQ(driver.device_config(5, 1), 7U);
    driver.set_common(20, 1, 0);
    EXPECT_EQ(driver.device_config(5, 1), 3U);
}

class VirtioNetPairsTest : public VirtioNetTest {
  protected:
    VirtioNetPairsTest() : VirtioNetTest(2) {}
};

TEST_F(VirtioNetPairsTest, only_pairs_that_exist_can_be_used) {
    ASSERT_TRUE(driver.negotiate(k_mq | k_ctrl_vq | k_mrg_rxbuf | virtio::k_feature_version_1));
    EXPECT_EQ(driver.device_config(8, 2), 2U);
    for (uint16_t queue = 0; queue < 5; ++queue) {
        driver.set_up_queue(queue);
    }
    driver.driver_ok();
    const auto set_pairs = [&](uint8_t pairs) {
        constexpr GuestAddress k_at = VirtioDriver::k_buffers;
        const std::array<uint8_t, 4> bytes{4, 0, pairs, 0};
        EXPECT_TRUE(machine.memory->write(k_at, bytes.data(), bytes.size()));
        driver.add(4, 0, {{k_at, 4, false}, {k_at + 16, 1, true}});
        driver.kick(4);
        return *machine.memory->read_value<uint8_t>(k_at + 16);
    };
    EXPECT_EQ(set_pairs(2), 0);
    EXPECT_EQ(set_pairs(3), 1);
    EXPECT_EQ(set_pairs(0), 1);
}

}  // namespace
}  // namespace skep::test
