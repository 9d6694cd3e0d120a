// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/guest_addresses.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace skep {
namespace {

template <size_t Size>
std::string text_of(int family, const std::array<uint8_t, Size>& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool known = std::ranges::any_of(address, [](uint8_t byte) { return byte != 0; });
    return known && inet_ntop(family, address.data(), text.data(), text.size()) != nullptr ? text.data() : "";
}

}  // namespace

bool GuestAddresses::note_ip4(std::span<const uint8_t, 4> address) {
    const bool is_host = address[0] != 0 && address[0] != 127 && address[0] < 224;
    if (!is_host || std::ranges::equal(address, m_ip4)) {
        return false;
    }
    std::ranges::copy(address, m_ip4.begin());
    return true;
}

bool GuestAddresses::note(std::span<const uint8_t> front) {
    if (front.size() < 14 + 28) {
        return false;
    }
    const unsigned type = front[12] << 8 | front[13];
    if (type == 0x0806 && front[16] == 0x08 && front[17] == 0) {  // ARP for IPv4: the sender's protocol address
        return note_ip4(front.subspan<28, 4>());
    }
    if (type == 0x0800 && front[14] >> 4 == 4) {
        return note_ip4(front.subspan<26, 4>());
    }
    const bool is_ip6 = type == 0x86dd && front.size() >= k_look_at && front[14] >> 4 == 6;
    // Neither unspecified (::), nor of the link (fe80::/10), nor a group (ff00::/8).
    if (!is_ip6 || front[22] == 0 || front[22] == 0xff || (front[22] == 0xfe && (front[23] & 0xc0) == 0x80)) {
        return false;
    }
    const auto address = front.subspan<22, 16>();
    if (std::ranges::equal(address, m_ip6)) {
        return false;
    }
    std::ranges::copy(address, m_ip6.begin());
    return true;
}

// IPv4 and UDP from port 67 to port 68.
bool GuestAddresses::may_be_answer(std::span<const uint8_t> front) {
    const bool is_udp4 = front.size() >= 14 + 28 && front[12] == 0x08 && front[13] == 0 && front[14] >> 4 == 4 && front[23] == 17;
    if (!is_udp4) {
        return false;
    }
    const size_t udp = 14 + (front[14] & 0x0fU) * 4;
    return udp + 4 <= front.size() && front[udp] == 0 && front[udp + 1] == 67 && front[udp + 2] == 0 && front[udp + 3] == 68;
}

// A BOOTREPLY (op 2) whose option 53 says DHCPACK; the address is in yiaddr.
bool GuestAddresses::note_answer(std::span<const uint8_t> front) {
    constexpr size_t k_yiaddr = 16;
    constexpr size_t k_options = 240;  // behind the magic cookie
    constexpr uint8_t k_pad = 0, k_message_type = 53, k_ack = 5, k_end = 255;
    if (!may_be_answer(front)) {
        return false;
    }
    const size_t message_at = 14 + (front[14] & 0x0fU) * 4 + 8;
    if (front.size() < message_at + k_options || front[message_at] != 2) {
        return false;
    }
    const auto message = front.subspan(message_at);
    for (size_t at = k_options; at + 2 < message.size() && message[at] != k_end;) {
        if (message[at] == k_message_type) {
            return message[at + 2] == k_ack && note_ip4(message.subspan(k_yiaddr).first<4>());
        }
        at += message[at] == k_pad ? 1 : size_t{2} + message[at + 1];
    }
    return false;
}

std::string GuestAddresses::ip4() const { return text_of(AF_INET, m_ip4); }
std::string GuestAddresses::ip6() const { return text_of(AF_INET6, m_ip6); }

}  // namespace skep
