// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/guest_addresses.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace skep {
namespace {

// An Ethernet frame with an IPv4 packet of UDP between the ports, and a BOOTP message with option 53.
std::vector<uint8_t> dhcp_answer(uint8_t message_type) {
    std::vector<uint8_t> frame(14 + 20 + 8 + 240 + 8);
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[35] = 67;
    frame[37] = 68;
    frame[42] = 2;
    frame[42 + 16] = 10;
    frame[42 + 18] = 2;
    frame[42 + 19] = 15;
    frame[42 + 240] = 0;  // a pad
    frame[42 + 241] = 53;
    frame[42 + 242] = 1;
    frame[42 + 243] = message_type;
    return frame;
}

TEST(GuestAddresses, address_that_dhcp_has_given_is_known_before_the_guest_uses_it) {
    GuestAddresses addresses;
    EXPECT_FALSE(addresses.note_answer(dhcp_answer(2))) << "an offer is not taken yet";
    EXPECT_EQ(addresses.ip4(), "");
    EXPECT_TRUE(addresses.note_answer(dhcp_answer(5)));
    EXPECT_EQ(addresses.ip4(), "10.0.2.15");
}

TEST(GuestAddresses, answer_that_is_cut_short_or_of_another_service_says_nothing) {
    const auto whole = dhcp_answer(5);
    for (size_t bytes = 0; bytes < 42 + 244; ++bytes) {
        GuestAddresses addresses;
        EXPECT_FALSE(addresses.note_answer(std::span(whole).first(bytes))) << bytes;
    }
    GuestAddresses addresses;
    auto other = whole;
    other[35] = 53;
    EXPECT_FALSE(addresses.note_answer(other));
}

}  // namespace
}  // namespace skep
