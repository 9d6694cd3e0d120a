// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_net.hpp"

#include <algorithm>
#include <mutex>

#include "devices/virtio/virtio_net_device.hpp"

namespace skep {
namespace {

constexpr uint16_t k_queue_size = 256;
constexpr uint16_t k_control_queue_size = 64;
constexpr uint16_t k_status_link_up = 1;
constexpr uint16_t k_status_announce = 2;
constexpr uint32_t k_megabits = 10'000;  // what drivers show
constexpr size_t k_config_bytes = 17;
constexpr size_t k_most_macs = 64;

void put_macs(StateWriter& writer, const std::vector<VirtioNet::Mac>& macs) {
    writer.put(static_cast<uint16_t>(macs.size()));
    for (const auto& mac : macs) {
        writer.put_bytes(std::as_bytes(std::span(mac)));
    }
}

std::vector<VirtioNet::Mac> get_macs(StateReader& reader) {
    std::vector<VirtioNet::Mac> macs;
    const auto count = reader.get<uint16_t>();
    if (count > k_most_macs) {
        reader.fail("more addresses than the filter holds");
        return macs;
    }
    for (unsigned index = 0; index < count && reader.ok(); ++index) {
        const auto bytes = reader.get_bytes(6);
        VirtioNet::Mac mac{};
        if (bytes.size() == mac.size()) {
            std::ranges::transform(bytes, mac.begin(), [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
        }
        macs.push_back(mac);
    }
    return macs;
}

}  // namespace

VirtioNet::VirtioNet(GuestMemory& memory, std::shared_ptr<NetCable> cable, const VirtioNetConfig& config)
    : m_memory(memory), m_cable(std::move(cable)), m_config(config), m_mac(config.mac), m_link_up(m_cable->is_up()) {
    m_config.queue_pairs = std::clamp(m_config.queue_pairs, 1U, k_most_pairs);
    m_cable->set_card(this);
}

VirtioNet::~VirtioNet() { m_cable->set_card(nullptr); }

uint64_t VirtioNet::features() const {
    using namespace virtio_net;
    const uint64_t several = m_config.queue_pairs > 1 ? k_mq : 0;
    return k_csum | k_guest_csum | k_ctrl_guest_offloads | k_mtu | k_mac | k_guest_tso4 | k_guest_tso6 | k_guest_ecn |
           k_host_tso4 | k_host_tso6 | k_host_ecn | k_mrg_rxbuf | k_status | k_ctrl_vq | k_ctrl_rx | k_ctrl_rx_extra |
           k_guest_announce | k_ctrl_mac_addr | k_speed_duplex | several;
}

std::vector<uint16_t> VirtioNet::queue_sizes() const {
    std::vector<uint16_t> sizes(2 * m_config.queue_pairs, k_queue_size);
    sizes.push_back(k_control_queue_size);
    return sizes;
}

// struct virtio_net_config (5.1.4)
std::vector<std::byte> VirtioNet::config() const {
    std::vector<std::byte> bytes(k_config_bytes);
    std::ranges::transform(m_mac, bytes.begin(), [](uint8_t byte) { return std::byte{byte}; });
    store_le<uint16_t>(&bytes[6], static_cast<uint16_t>((m_link_up ? k_status_link_up : 0) | (m_announce ? k_status_announce : 0)));
    store_le<uint16_t>(&bytes[8], static_cast<uint16_t>(m_config.queue_pairs));
    store_le<uint16_t>(&bytes[10], static_cast<uint16_t>(net::k_mtu));
    store_le<uint32_t>(&bytes[12], k_megabits);
    bytes[16] = std::byte{1};  // full duplex
    return bytes;
}

void VirtioNet::activate(VirtioSession session) {
    m_session = std::move(session);
    m_active = true;
    if (!m_held) {
        m_guest_offloads = m_session.features & virtio_net::k_guest_offloads;
        m_pairs = 1;
    }
    m_held = false;
    update_offloads();
    for (unsigned index = 0; index < m_session.queues.size(); index += 2) {
        if (queue(index) != nullptr && index < 2 * m_config.queue_pairs) {
            // Receive buffers are only asked for when there is something to receive.
            queue(index)->disable_notifications();
        }
    }
    m_card_waits = true;
    m_cable->card_ready();
    m_cable->request_room();  // what was put into transmit queues while nobody looked
}

// What was popped and not used goes back onto its ring: nothing of the session stays here.
VirtioSession VirtioNet::deactivate() {
    for (unsigned pair = 0; pair < m_config.queue_pairs; ++pair) {
        if (Virtqueue* const receive = queue(2 * pair)) {
            receive->unpop(static_cast<uint16_t>(m_receivers[pair].spare.size()));
        }
        if (Virtqueue* const transmit = queue(2 * pair + 1)) {
            transmit->unpop(static_cast<uint16_t>(m_transmitters[pair].waiting.size()));
        }
        m_receivers[pair] = {};
        m_transmitters[pair] = {};
    }
    m_active = false;
    m_held = true;
    return std::move(m_session);
}

void VirtioNet::reset_state() {
    m_held = false;
    m_mac = m_config.mac;
    m_announce = false;
    m_pairs = 1;
    m_guest_offloads = 0;
    m_filter = {};
    m_cable->set_offloads({});
}

void VirtioNet::update_offloads() {
    using namespace virtio_net;
    const auto on = [&](uint64_t feature) { return (m_guest_offloads & feature) != 0; };
    const bool checksum = on(k_guest_csum);
    m_cable->set_offloads({.checksum = checksum,
                           .tcp4 = checksum && on(k_guest_tso4),
                           .tcp6 = checksum && on(k_guest_tso6),
                           .ecn = on(k_guest_ecn)});
}

void VirtioNet::tell_driver(unsigned queue_index) {
    Virtqueue& queue = *m_session.queues[queue_index];
    if (queue.take_notification()) {
        m_transport->interrupt_queue(queue_index);
    }
    if (!queue.problem().empty()) {
        m_transport->device_broken(queue.problem());
    }
}

void VirtioNet::queue_notified(unsigned queue_index) {
    if (queue(queue_index) == nullptr) {
        return;
    }
    if (has(virtio_net::k_ctrl_vq) && queue_index == control_queue()) {
        answer_chains(m_session, *m_transport, queue_index, [this](const VirtioChain& chain) { return answer_command(chain); });
    } else if (queue_index >= 2 * m_config.queue_pairs) {
        return;
    } else if (queue_index % 2 == 1) {
        transmit(queue_index / 2);
    } else if (m_card_waits) {
        m_card_waits = false;
        m_cable->card_ready();
    }
}

void VirtioNet::link_changed() {
    const std::lock_guard lock(m_transport->device_gate());
    m_link_up = m_cable->is_up();
    m_announce = m_link_up && has(virtio_net::k_guest_announce);
    if (m_active && has(virtio_net::k_status)) {
        m_transport->interrupt_config();
    }
}

void VirtioNet::save(StateWriter& writer) const {
    writer.section("virtio-net", 1);
    writer.put_bytes(std::as_bytes(std::span(m_mac)));
    writer.put(static_cast<uint8_t>(m_pairs));
    writer.put(m_guest_offloads);
    for (const bool flag : {m_held, m_announce, m_filter.promiscuous, m_filter.all_groups, m_filter.all_unicast,
                            m_filter.no_groups, m_filter.no_unicast, m_filter.no_broadcast, m_filter.groups_overflow,
                            m_filter.unicast_overflow}) {
        writer.put(static_cast<uint8_t>(flag ? 1 : 0));
    }
    put_macs(writer, m_filter.unicast);
    put_macs(writer, m_filter.groups);
}

void VirtioNet::load(StateReader& reader) {
    reader.section("virtio-net", 1);
    const auto mac = reader.get_bytes(m_mac.size());
    if (mac.size() == m_mac.size()) {
        std::ranges::transform(mac, m_mac.begin(), [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
    }
    m_pairs = reader.get<uint8_t>();
    if (m_pairs < 1 || m_pairs > m_config.queue_pairs) {
        reader.fail("more queue pairs are in use than there are");
        m_pairs = 1;
    }
    m_guest_offloads = reader.get<uint64_t>() & virtio_net::k_guest_offloads;
    for (bool* const flag : {&m_held, &m_announce, &m_filter.promiscuous, &m_filter.all_groups, &m_filter.all_unicast,
                             &m_filter.no_groups, &m_filter.no_unicast, &m_filter.no_broadcast, &m_filter.groups_overflow,
                             &m_filter.unicast_overflow}) {
        *flag = reader.get<uint8_t>() != 0;
    }
    m_filter.unicast = get_macs(reader);
    m_filter.groups = get_macs(reader);
}

std::unique_ptr<VirtioDevice> make_virtio_net(GuestMemory& memory, std::shared_ptr<NetCable> cable,
                                              const VirtioNetConfig& config) {
    return std::make_unique<VirtioNet>(memory, std::move(cable), config);
}

}  // namespace skep
