// SPDX-License-Identifier: GPL-3.0-or-later
// The network card's control queue (5.1.6.5).
#include <algorithm>
#include <optional>

#include "devices/virtio/virtio_net_device.hpp"

namespace skep {
namespace {

enum Group : uint8_t { k_rx = 0, k_mac = 1, k_announce = 3, k_mq = 4, k_guest_offloads = 5 };
enum RxCommand : uint8_t { k_promisc = 0, k_allmulti = 1, k_alluni = 2, k_nomulti = 3, k_nouni = 4, k_nobcast = 5 };
enum MacCommand : uint8_t { k_mac_table_set = 0, k_mac_addr_set = 1 };
constexpr uint8_t k_announce_ack = 0;
constexpr uint8_t k_mq_pairs_set = 0;
constexpr uint8_t k_guest_offloads_set = 0;
constexpr uint8_t k_ok = 0;
constexpr uint8_t k_err = 1;
constexpr uint64_t k_command_bytes = 2;  // group and number
constexpr size_t k_most_macs = 64;
constexpr uint64_t k_most_listed = 4096;  // addresses that a driver may name, known or not

}  // namespace

uint32_t VirtioNet::answer_command(const VirtioChain& chain) {
    uint8_t words[k_command_bytes] = {};
    if (chain.writable_bytes() == 0) {
        return 0;
    }
    const bool good = chain.read(m_memory, 0, words, sizeof words) && command(words[0], words[1], chain);
    const uint8_t ack = good ? k_ok : k_err;
    return chain.write(m_memory, 0, &ack, sizeof ack) ? 1 : 0;
}

bool VirtioNet::command(uint8_t group, uint8_t number, const VirtioChain& chain) {
    switch (group) {
        case k_rx: return has(virtio_net::k_ctrl_rx) && receive_command(number, chain);
        case k_mac:
            if (number == k_mac_table_set) {
                return has(virtio_net::k_ctrl_rx) && set_mac_table(chain);
            }
            return number == k_mac_addr_set && has(virtio_net::k_ctrl_mac_addr) &&
                   chain.readable_bytes() == k_command_bytes + m_mac.size() &&
                   chain.read(m_memory, k_command_bytes, m_mac.data(), m_mac.size());
        case k_announce:
            if (number != k_announce_ack || !m_announce) {
                return false;
            }
            m_announce = false;
            return true;
        case k_mq: return number == k_mq_pairs_set && has(virtio_net::k_mq) && set_pairs(chain);
        case k_guest_offloads:
            return number == k_guest_offloads_set && has(virtio_net::k_ctrl_guest_offloads) && set_offloads(chain);
        default: return false;
    }
}

bool VirtioNet::receive_command(uint8_t number, const VirtioChain& chain) {
    uint8_t on = 0;
    if (number > k_nobcast || !chain.read(m_memory, k_command_bytes, &on, sizeof on)) {
        return false;
    }
    bool* const flags[] = {&m_filter.promiscuous, &m_filter.all_groups, &m_filter.all_unicast,
                           &m_filter.no_groups,   &m_filter.no_unicast, &m_filter.no_broadcast};
    *flags[number] = on != 0;
    return true;
}

// Two lists, each a 32-bit count and so many addresses: unicast, then groups.
bool VirtioNet::set_mac_table(const VirtioChain& chain) {
    uint64_t at = k_command_bytes;
    const auto read_list = [&](std::vector<Mac>& table, bool& overflow) {
        uint32_t count = 0;
        if (!chain.read(m_memory, at, &count, sizeof count) || count > k_most_listed) {
            return false;
        }
        at += sizeof count;
        overflow = count > k_most_macs;
        table.assign(overflow ? 0 : count, Mac{});
        const bool good = table.empty() || chain.read(m_memory, at, table.data(), table.size() * sizeof(Mac));
        at += uint64_t{count} * sizeof(Mac);
        return good;
    };
    Filter filter = m_filter;
    if (!read_list(filter.unicast, filter.unicast_overflow) || !read_list(filter.groups, filter.groups_overflow)) {
        return false;
    }
    m_filter = std::move(filter);
    return true;
}

bool VirtioNet::set_offloads(const VirtioChain& chain) {
    uint64_t wanted = 0;
    if (!chain.read(m_memory, k_command_bytes, &wanted, sizeof wanted) ||
        (wanted & ~(m_session.features & virtio_net::k_guest_offloads)) != 0) {
        return false;
    }
    m_guest_offloads = wanted;
    update_offloads();
    return true;
}

bool VirtioNet::set_pairs(const VirtioChain& chain) {
    uint16_t pairs = 0;
    if (!chain.read(m_memory, k_command_bytes, &pairs, sizeof pairs) || pairs < 1 || pairs > m_config.queue_pairs) {
        return false;
    }
    m_pairs = pairs;
    return true;
}

}  // namespace skep
