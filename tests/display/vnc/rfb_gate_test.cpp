// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_gate.hpp"

#include <gtest/gtest.h>

namespace skep::test {
namespace {

using Verdict = GatedMessage::Verdict;
using Bytes = std::vector<uint8_t>;

Bytes message(uint8_t type, size_t length) {
    Bytes bytes(length);
    bytes[0] = type;
    return bytes;
}

TEST(RfbGate, plain_messages_are_whole_at_their_length) {
    const std::pair<uint8_t, size_t> lengths[] = {{0, 20}, {3, 10}, {4, 8}, {5, 6}};
    for (const auto& [type, length] : lengths) {
        EXPECT_EQ(gate_message(message(type, length - 1)).verdict, Verdict::incomplete);
        const GatedMessage whole = gate_message(message(type, length + 5));
        EXPECT_EQ(whole.verdict, Verdict::library);
        EXPECT_EQ(whole.length, length);
    }
}

TEST(RfbGate, counted_messages_are_as_long_as_they_say) {
    EXPECT_EQ(gate_message(Bytes{2, 0, 0}).verdict, Verdict::incomplete);
    EXPECT_EQ(gate_message(Bytes{2, 0, 0, 1, 0, 0, 0}).verdict, Verdict::incomplete);
    EXPECT_EQ(gate_message(Bytes{2, 0, 0, 1, 0, 0, 0, 5}).verdict, Verdict::library);
    EXPECT_EQ(gate_message(Bytes{2, 0, 0, 1, 0, 0, 0, 5}).length, 8U);
    EXPECT_EQ(gate_message(Bytes{2, 0, 0xff, 0xff}).verdict, Verdict::refused);
    Bytes resize = message(251, 24);
    resize[6] = 1;
    EXPECT_EQ(gate_message(resize).length, 24U);
    EXPECT_EQ(gate_message(resize).verdict, Verdict::desktop_size);
    const WantedSize wanted = parse_desktop_size(Bytes{251, 0, 0x05, 0x00, 0x03, 0x20, 1, 0});
    EXPECT_EQ(std::pair(wanted.width, wanted.height), std::pair(1280U, 800U));
    EXPECT_EQ(wanted.screens, 1U);
    resize[6] = 17;
    EXPECT_EQ(gate_message(resize).verdict, Verdict::refused);
}

TEST(RfbGate, everything_else_is_refused) {
    for (const unsigned type : {1, 7, 8, 11, 15, 150, 248, 250, 252, 254}) {
        EXPECT_EQ(gate_message(message(static_cast<uint8_t>(type), 64)).verdict, Verdict::refused) << type;
    }
    EXPECT_EQ(gate_message(Bytes{255, 1}).verdict, Verdict::refused);  // QEMU audio
    EXPECT_EQ(gate_message({}).verdict, Verdict::incomplete);
}

TEST(RfbGate, clipboard_is_measured_and_bounded) {
    EXPECT_EQ(gate_message(Bytes{6, 0, 0, 0}).verdict, Verdict::incomplete);
    const GatedMessage text = gate_message(Bytes{6, 0, 0, 0, 0, 0, 1, 0, 'x'});
    EXPECT_EQ(text.verdict, Verdict::cut_text);
    EXPECT_EQ(text.length, 8U);
    EXPECT_EQ(text.skip, 256U);
    EXPECT_EQ(gate_message(Bytes{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc}).skip, 4U);
    EXPECT_EQ(gate_message(Bytes{6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}).verdict, Verdict::refused);
    EXPECT_EQ(gate_message(Bytes{6, 0, 0, 0, 0x80, 0, 0, 0}).verdict, Verdict::refused);
}

TEST(RfbGate, extended_key_is_read) {
    const Bytes bytes{255, 0, 0, 1, 0, 0, 0xff, 0x0d, 0, 0, 0, 0x9c};
    EXPECT_EQ(gate_message(std::span(bytes).first(11)).verdict, Verdict::incomplete);
    EXPECT_EQ(gate_message(bytes).verdict, Verdict::extended_key);
    const ExtendedKey key = parse_extended_key(bytes);
    EXPECT_TRUE(key.down);
    EXPECT_EQ(key.keysym, 0xff0dU);
    EXPECT_EQ(key.code, 0x9cU);
}

TEST(RfbGate, first_offered_encoding_is_preferred_and_strangers_are_not) {
    const auto encodings = [](std::initializer_list<int32_t> list) {
        Bytes bytes{2, 0, 0, static_cast<uint8_t>(list.size())};
        for (const int32_t encoding : list) {
            for (int shift = 24; shift >= 0; shift -= 8) {
                bytes.push_back(static_cast<uint8_t>(static_cast<uint32_t>(encoding) >> shift));
            }
        }
        return parse_encodings(bytes);
    };
    EXPECT_EQ(encodings({7 /* Tight */, 6 /* zlib */, 16, 5, 0}).preferred, 16);
    EXPECT_EQ(encodings({1, 5, 16}).preferred, 5);
    EXPECT_EQ(encodings({7}).preferred, 0);
    EXPECT_EQ(encodings({}).preferred, 0);
    EXPECT_TRUE(encodings({0, -258}).extended_key);
    EXPECT_FALSE(encodings({0, -257}).extended_key);
    EXPECT_TRUE(encodings({0, -257}).pointer_motion);
    EXPECT_FALSE(encodings({0, -258}).pointer_motion);
}

}  // namespace
}  // namespace skep::test
