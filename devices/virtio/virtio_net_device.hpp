// SPDX-License-Identifier: GPL-3.0-or-later
// Inside devices/virtio: the network card's class. Its life is in virtio_net.cpp, frames in virtio_net_frames.cpp, the
// control queue in virtio_net_control.cpp. All by Virtual I/O Device 1.2, 5.1.
#pragma once

#include <deque>
#include <vector>

#include "devices/virtio/virtio_net.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

namespace virtio_net {
// Feature bits (5.1.3)
inline constexpr uint64_t k_csum = bit(0);
inline constexpr uint64_t k_guest_csum = bit(1);
inline constexpr uint64_t k_ctrl_guest_offloads = bit(2);
inline constexpr uint64_t k_mtu = bit(3);
inline constexpr uint64_t k_mac = bit(5);
inline constexpr uint64_t k_guest_tso4 = bit(7);
inline constexpr uint64_t k_guest_tso6 = bit(8);
inline constexpr uint64_t k_guest_ecn = bit(9);
inline constexpr uint64_t k_host_tso4 = bit(11);
inline constexpr uint64_t k_host_tso6 = bit(12);
inline constexpr uint64_t k_host_ecn = bit(13);
inline constexpr uint64_t k_mrg_rxbuf = bit(15);
inline constexpr uint64_t k_status = bit(16);
inline constexpr uint64_t k_ctrl_vq = bit(17);
inline constexpr uint64_t k_ctrl_rx = bit(18);
inline constexpr uint64_t k_ctrl_rx_extra = bit(20);
inline constexpr uint64_t k_guest_announce = bit(21);
inline constexpr uint64_t k_mq = bit(22);
inline constexpr uint64_t k_ctrl_mac_addr = bit(23);
inline constexpr uint64_t k_speed_duplex = bit(63);
inline constexpr uint64_t k_guest_offloads = k_guest_csum | k_guest_tso4 | k_guest_tso6 | k_guest_ecn;
}  // namespace virtio_net

class VirtioNet final : public VirtioDevice, public NetCard {
  public:
    using Mac = std::array<uint8_t, 6>;
    static constexpr unsigned k_most_pairs = 8;

    VirtioNet(GuestMemory& memory, std::shared_ptr<NetCable> cable, const VirtioNetConfig& config);
    ~VirtioNet() override;

    // VirtioDevice
    [[nodiscard]] uint16_t device_id() const override { return 1; }
    [[nodiscard]] uint32_t class_code() const override { return 0x020000; }  // Ethernet controller
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::vector<uint16_t> queue_sizes() const override;
    [[nodiscard]] std::vector<std::byte> config() const override;
    void set_transport(VirtioTransport& transport) override { m_transport = &transport; }
    void activate(VirtioSession session) override;
    [[nodiscard]] bool active() const override { return m_active; }
    VirtioSession deactivate() override;
    void reset_state() override;
    void queue_notified(unsigned queue) override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // NetCard
    size_t frames_arrived(std::span<const NetFrame> frames) override;
    void room_made() override;
    void link_changed() override;

  private:
    // What the driver asked to receive (5.1.6.5.1, .2).
    struct Filter {
        bool promiscuous = true;  // until a driver says otherwise
        bool all_groups = false;
        bool all_unicast = false;
        bool no_groups = false;
        bool no_unicast = false;
        bool no_broadcast = false;
        std::vector<Mac> unicast;
        std::vector<Mac> groups;
        bool groups_overflow = false;  // more than the table holds: take all
        bool unicast_overflow = false;
    };
    // Buffers popped off the receive queue for a frame that was larger than they are.
    struct Receiver {
        std::deque<VirtioChain> spare;
        uint64_t spare_bytes = 0;
    };
    // Chains popped off the transmit queue that the back end had no room for.
    struct Transmitter {
        std::vector<VirtioChain> waiting;
    };
    struct Outgoing;  // a batch on its way out

    [[nodiscard]] bool has(uint64_t feature) const { return (m_session.features & feature) != 0; }
    [[nodiscard]] Virtqueue* queue(unsigned index) const {
        return index < m_session.queues.size() ? m_session.queues[index].get() : nullptr;
    }
    [[nodiscard]] unsigned control_queue() const { return has(virtio_net::k_mq) ? 2 * m_config.queue_pairs : 2; }
    void tell_driver(unsigned queue_index);
    void update_offloads();

    // virtio_net_frames.cpp
    void transmit(unsigned pair);
    [[nodiscard]] bool transmit_some(unsigned pair, Virtqueue& queue);
    [[nodiscard]] bool send_batch(unsigned pair, Virtqueue& queue, std::vector<VirtioChain>& chains);
    [[nodiscard]] bool may_ask(const NetHeader& header) const;
    enum class Placed { yes, no_buffers, dropped };
    Placed place(unsigned pair, const NetFrame& frame);
    [[nodiscard]] bool gather_buffers(Receiver& receiver, Virtqueue& queue, uint64_t bytes);
    [[nodiscard]] bool wanted(const NetFrame& frame) const;
    [[nodiscard]] unsigned pair_for(const NetFrame& frame) const;

    // virtio_net_control.cpp
    uint32_t answer_command(const VirtioChain& chain);
    [[nodiscard]] bool command(uint8_t group, uint8_t number, const VirtioChain& chain);
    [[nodiscard]] bool receive_command(uint8_t number, const VirtioChain& chain);
    [[nodiscard]] bool set_mac_table(const VirtioChain& chain);
    [[nodiscard]] bool set_offloads(const VirtioChain& chain);
    [[nodiscard]] bool set_pairs(const VirtioChain& chain);

    GuestMemory& m_memory;
    std::shared_ptr<NetCable> m_cable;
    VirtioNetConfig m_config;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;
    bool m_held = false;  // paused: what arrives waits; without a driver it is lost
    Mac m_mac{};          // as the driver has it
    bool m_link_up = true;
    bool m_announce = false;
    bool m_card_waits = false;  // frames_arrived() has refused some
    unsigned m_pairs = 1;       // in use
    uint64_t m_guest_offloads = 0;
    Filter m_filter;
    std::array<Receiver, k_most_pairs> m_receivers;
    std::array<Transmitter, k_most_pairs> m_transmitters;
    std::vector<iovec> m_pieces;
};

}  // namespace skep
