// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nat/net_glass.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "devices/net/frame_bytes.hpp"
#include "devices/net/offload.hpp"

namespace skep {
namespace {

constexpr uint16_t k_dns_port = 53;
constexpr uint8_t k_tcp_fin_rst = 0x05;
constexpr uint8_t k_protocol_tcp = 6;
constexpr uint8_t k_protocol_udp = 17;
constexpr size_t k_dns_header = 12;
constexpr unsigned k_most_labels = 64;
constexpr unsigned k_most_answers = 32;
constexpr size_t k_most_addresses_text = 200;

// The question's name; `at` moves behind it. Compression does not occur in a message's first name.
std::optional<std::string> take_name(std::span<const uint8_t> message, size_t& at) {
    std::string name;
    for (unsigned label = 0; label < k_most_labels && at < message.size(); ++label) {
        const size_t length = message[at++];
        if (length == 0) {
            return name;
        }
        if (length > 63 || at + length > message.size()) {
            return std::nullopt;
        }
        name += name.empty() ? "" : ".";
        for (size_t index = 0; index < length; ++index) {
            const auto character = static_cast<char>(message[at + index]);
            const bool plain = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
                               (character >= '0' && character <= '9') || character == '-' || character == '_';
            name += plain ? character : '?';
        }
        at += length;
    }
    return std::nullopt;
}

bool skip_name(std::span<const uint8_t> message, size_t& at) {
    for (unsigned label = 0; label < k_most_labels && at < message.size(); ++label) {
        const size_t length = message[at];
        if (length >= 0xc0) {
            at += 2;
            return true;
        }
        at += length + 1;
        if (length == 0) {
            return true;
        }
    }
    return false;
}

std::string address_text(std::span<const uint8_t> address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text.data(), text.size()) != nullptr ? text.data() : "";
}

template <typename Map>
void drop_oldest(Map& map, size_t most) {
    if (map.size() > most) {
        map.erase(std::ranges::min_element(map, {}, [](const auto& entry) { return entry.second.last; }));
    }
}

}  // namespace

void NetGlass::note(std::span<const uint8_t> frame, Direction direction) {
    const FrameLayout layout = frame_layout(frame);
    if (layout.kind == FrameLayout::Kind::other) {
        return;
    }
    const bool out = direction == Direction::out;
    const size_t size = layout.is_ip4() ? 4 : 16;
    const size_t addresses = layout.ip + (layout.is_ip4() ? 12 : 8);
    Key key{.protocol = layout.is_tcp() ? k_protocol_tcp : k_protocol_udp, .address_bytes = static_cast<uint8_t>(size)};
    std::ranges::copy(frame.subspan(addresses, size), (out ? key.guest : key.remote).begin());
    std::ranges::copy(frame.subspan(addresses + size, size), (out ? key.remote : key.guest).begin());
    const uint16_t from = get16(frame, layout.transport);
    const uint16_t to = get16(frame, layout.transport + 2);
    key.guest_port = out ? from : to;
    key.remote_port = out ? to : from;
    const auto [found, is_new] = m_flows.try_emplace(key);
    m_ever += is_new ? 1 : 0;
    Flow& flow = found->second;
    (out ? flow.sent : flow.received) += frame.size();
    flow.last = ++m_time;
    flow.closed = layout.is_tcp() && (flow.closed || (frame[layout.transport + 13] & k_tcp_fin_rst) != 0);
    m_changed = true;
    if (is_new) {
        drop_oldest(m_flows, NatReport::k_most_connections);
    }
    if (!out && !layout.is_tcp() && from == k_dns_port) {
        note_answer(frame.subspan(layout.payload, layout.end - layout.payload));
    }
}

void NetGlass::note_answer(std::span<const uint8_t> message) {
    size_t at = k_dns_header;
    if (message.size() < k_dns_header || (message[2] & 0x80) == 0 || get16(message, 4) != 1) {
        return;
    }
    const auto name = take_name(message, at);
    if (!name || name->empty()) {
        return;
    }
    at += 4;  // type and class
    Name& entry = m_names[*name];
    ++entry.count;
    entry.last = ++m_time;
    const unsigned answers = std::min<unsigned>(get16(message, 6), k_most_answers);
    for (unsigned index = 0; index < answers; ++index) {
        if (!skip_name(message, at) || at + 10 > message.size()) {
            break;
        }
        const unsigned type = get16(message, at);
        const size_t length = get16(message, at + 8);
        at += 10;
        if (at + length > message.size()) {
            break;
        }
        const bool is_address = (type == 1 && length == 4) || (type == 28 && length == 16);
        const std::string text = is_address ? address_text(message.subspan(at, length)) : "";
        at += length;
        if (!text.empty() && entry.addresses.find(text) == std::string::npos && entry.addresses.size() < k_most_addresses_text) {
            entry.addresses += (entry.addresses.empty() ? "" : ",") + text;
        }
    }
    drop_oldest(m_names, NatReport::k_most_names);
}

NatReport NetGlass::report() const {
    NatReport report{.names = {}, .connections = {}, .connections_ever = m_ever};
    const auto by_time = [](const auto& map) {
        std::vector<typename std::decay_t<decltype(map)>::const_pointer> entries;
        for (const auto& entry : map) {
            entries.push_back(&entry);
        }
        std::ranges::sort(entries, {}, [](const auto* entry) { return entry->second.last; });
        return entries;
    };
    for (const auto* entry : by_time(m_names)) {
        report.names.push_back({entry->first, entry->second.addresses, entry->second.count});
    }
    for (const auto* entry : by_time(m_flows)) {
        const Key& key = entry->first;
        const Flow& flow = entry->second;
        const auto place = [&](const std::array<uint8_t, 16>& address, uint16_t port) {
            const std::string text = address_text(std::span(address).first(key.address_bytes));
            return key.address_bytes == 4 ? fmt::format("{}:{}", text, port) : fmt::format("[{}]:{}", text, port);
        };
        report.connections.push_back({key.protocol == k_protocol_tcp ? "tcp" : "udp", place(key.guest, key.guest_port),
                                      place(key.remote, key.remote_port), flow.sent, flow.received, !flow.closed});
    }
    return report;
}

}  // namespace skep
