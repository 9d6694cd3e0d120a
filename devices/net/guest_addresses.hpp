// SPDX-License-Identifier: GPL-3.0-or-later
// By which addresses a guest is known: what it says as the sender of ARP (RFC 826), IPv4 and IPv6 frames, and what DHCP
// has given it (RFC 2131), since a guest may well be silent after that.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace skep {

class GuestAddresses {
  public:
    // Enough of a frame to know its sender.
    static constexpr size_t k_look_at = 14 + 40;

    // The first bytes of a frame that the guest sent; fewer than k_look_at when it is shorter. True: something is new.
    bool note(std::span<const uint8_t> front);
    // The same for a frame that the guest is given: is it a DHCP server's final word? Most are told from the first
    // k_look_at bytes, and only of those that may be one are k_look_at_answer looked at.
    static constexpr size_t k_look_at_answer = 14 + 60 + 8 + 312;
    [[nodiscard]] static bool may_be_answer(std::span<const uint8_t> front);
    bool note_answer(std::span<const uint8_t> front);
    // "10.0.2.15", or empty while it is not known.
    [[nodiscard]] std::string ip4() const;
    // A routable one ("fec0::5054:ff:fe12:3456"), or empty.
    [[nodiscard]] std::string ip6() const;

  private:
    bool note_ip4(std::span<const uint8_t, 4> address);
    std::array<uint8_t, 4> m_ip4{};
    std::array<uint8_t, 16> m_ip6{};
};

}  // namespace skep
