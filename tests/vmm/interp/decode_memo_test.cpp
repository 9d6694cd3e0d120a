// SPDX-License-Identifier: GPL-3.0-or-later
// What is decoded from memory of it is what is decoded anew, wherever in its block it lies.
#include "vmm/interp/decode_memo.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace skep::interp {
namespace {

constexpr DecodeMode k_long{.code64 = true, .stack64 = true, .protected_mode = true};

using Bytes = std::array<std::byte, 16>;

// Random, with opcodes of the one-byte map and of 0F, with and without prefixes.
Bytes random_bytes(std::mt19937_64& random) {
    Bytes bytes{};
    for (std::byte& one : bytes) {
        one = static_cast<std::byte>(random());
    }
    size_t at = 0;
    constexpr uint8_t k_prefixes[] = {0x66, 0xf0, 0xf3, 0xf2, 0x65, 0x67};
    for (; at < 2 && random() % 4 == 0; ++at) {
        bytes[at] = std::byte{k_prefixes[random() % std::size(k_prefixes)]};
    }
    if (random() % 2 == 0) {
        bytes[at++] = static_cast<std::byte>(0x40 + random() % 16);
    }
    if (random() % 4 == 0) {
        bytes[at++] = std::byte{0x0f};
    }
    if (random() % 4 == 0) {
        bytes[at + 1] = std::byte{0x05};  // RIP-relative
    }
    return bytes;
}

void expect_same(const Decoded& a, const Decoded& b) {
    EXPECT_EQ(a.flow, b.flow);
    EXPECT_EQ(a.complete, b.complete);
    EXPECT_EQ(a.op.run, b.op.run);
    EXPECT_EQ(a.op.immediate, b.op.immediate);
    EXPECT_EQ(a.op.displacement, b.op.displacement);
    EXPECT_EQ(a.op.offset, b.op.offset);
    EXPECT_EQ(a.op.length, b.op.length);
    EXPECT_EQ(a.op.flags, b.op.flags);
    EXPECT_EQ(a.op.reg, b.op.reg);
    EXPECT_EQ(a.op.rm, b.op.rm);
    EXPECT_EQ(a.op.base, b.op.base);
    EXPECT_EQ(a.op.index, b.op.index);
    EXPECT_EQ(a.op.scale, b.op.scale);
    EXPECT_EQ(a.op.segment, b.op.segment);
    EXPECT_EQ(a.op.operand_size, b.op.operand_size);
    EXPECT_EQ(a.op.address_size, b.op.address_size);
    EXPECT_EQ(a.op.extra, b.op.extra);
    EXPECT_EQ(a.op.extra2, b.op.extra2);
    EXPECT_EQ(a.op.plain, b.op.plain);
    EXPECT_EQ(a.op.data, b.op.data);
}

TEST(DecodeMemo, random_instructions_at_another_place_and_with_another_tail_are_as_decoded_anew) {
    const auto memo = std::make_unique<DecodeMemo>();
    std::mt19937_64 random(7);
    unsigned found = 0;
    constexpr unsigned k_inputs = 200'000;
    for (unsigned i = 0; i < k_inputs && !HasFailure(); ++i) {
        Bytes bytes = random_bytes(random);
        bool relative = false;
        const Decoded first = decode_anew(bytes, k_long, static_cast<uint16_t>(random() % 400), relative);
        if (!first.complete) {
            continue;
        }
        memo->insert(bytes, k_long.key(), first, relative);
        for (size_t behind = first.op.length; behind < bytes.size(); ++behind) {
            bytes[behind] = static_cast<std::byte>(random());
        }
        if (relative) {
            bytes[first.op.length - 1U] = static_cast<std::byte>(random());  // elsewhere
        }
        const auto offset = static_cast<uint16_t>(random() % 400);
        const std::optional<Decoded> again = memo->find(bytes, k_long.key(), offset);
        if (again) {
            ++found;
            expect_same(*again, decode_anew(bytes, k_long, offset, relative));
        }
        EXPECT_FALSE(memo->find(bytes, k_long.key() ^ 4, offset));
        EXPECT_FALSE(memo->find(std::span(bytes).first(first.op.length - 1U), k_long.key(), offset));
    }
    EXPECT_GT(found, k_inputs / 3);
}

TEST(DecodeMemo, distance_that_does_not_fit_behind_a_late_instruction_is_not_found) {
    const auto memo = std::make_unique<DecodeMemo>();
    // mov eax,[rip+0x7ffffff0]
    const Bytes bytes{std::byte{0x8b}, std::byte{0x05}, std::byte{0xf0}, std::byte{0xff}, std::byte{0xff}, std::byte{0x7f}};
    bool relative = false;
    const Decoded first = decode_anew(bytes, k_long, 0, relative);
    memo->insert(bytes, k_long.key(), first, relative);
    EXPECT_TRUE(memo->find(bytes, k_long.key(), 9));
    EXPECT_FALSE(memo->find(bytes, k_long.key(), 10));
}

}  // namespace
}  // namespace skep::interp
