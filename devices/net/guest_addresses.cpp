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

std::string GuestAddresses::ip4() const { return text_of(AF_INET, m_ip4); }
std::string GuestAddresses::ip6() const { return text_of(AF_INET6, m_ip6); }

}  // namespace skep
