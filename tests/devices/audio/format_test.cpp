// SPDX-License-Identifier: GPL-3.0-or-later
// Formats of streams and samples in memory.
#include "devices/audio/hda_format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "vmm/base/bits.hpp"

namespace skep::hda {
namespace {

TEST(HdaFormat, register_tells_rate_channels_and_container) {
    struct Case {
        uint16_t fmt;
        uint32_t rate;
        unsigned channels;
        unsigned bytes;
    };
    for (const Case& each : {Case{0x0011, 48000, 2, 2}, Case{0x4011, 44100, 2, 2}, Case{0x0831, 96000, 2, 4},
                             Case{0x1841, 192000, 2, 4}, Case{0x0510, 8000, 1, 2}, Case{0x4327, 11025, 8, 4},
                             Case{0x0a11, 32000, 2, 2}, Case{0x7f1f, 0, 0, 0}}) {
        const auto format = StreamFormat::parse(each.fmt);
        ASSERT_EQ(format.has_value(), each.rate != 0) << std::hex << each.fmt;
        if (format) {
            EXPECT_EQ(format->rate, each.rate) << std::hex << each.fmt;
            EXPECT_EQ(format->channels, each.channels);
            EXPECT_EQ(format->container_bytes, each.bytes);
        }
    }
}

TEST(HdaFormat, every_register_value_is_refused_or_within_bounds) {
    for (uint32_t fmt = 0; fmt < 0x10000; ++fmt) {
        if (const auto format = StreamFormat::parse(static_cast<uint16_t>(fmt))) {
            ASSERT_GE(format->rate, 5512U);
            ASSERT_LE(format->rate, 192'000U);
            ASSERT_LE(format->frame_bytes(), k_most_frame_bytes);
            ASSERT_EQ(fmt & 0x8000, 0U);
        }
    }
}

TEST(HdaFormat, sixteen_bits_come_back_the_same) {
    const StreamFormat format{48000, 2, 2};
    std::vector<std::byte> bytes(65536 * 4);
    for (int value = -32768; value < 32768; ++value) {
        store_le(&bytes[static_cast<size_t>(value + 32768) * 4], static_cast<int16_t>(value));
        store_le(&bytes[static_cast<size_t>(value + 32768) * 4 + 2], static_cast<int16_t>(-1 - value));
    }
    std::vector<SoundFrame> frames(65536);
    decode_frames(format, 0, bytes, frames);
    EXPECT_EQ(frames[0].left, -1.0F);
    EXPECT_EQ(frames[32768].left, 0.0F);
    std::vector<std::byte> again(bytes.size());
    encode_frames(format, 0, frames, again);
    EXPECT_EQ(again, bytes);
}

TEST(HdaFormat, longer_samples_lie_at_the_upper_end) {
    const StreamFormat format{48000, 2, 4};
    std::array<std::byte, 8> bytes;
    store_le<int32_t>(&bytes[0], 0x1234'5600);  // 24 bits
    store_le<int32_t>(&bytes[4], std::numeric_limits<int32_t>::min());
    std::array<SoundFrame, 1> frames;
    decode_frames(format, 0, bytes, frames);
    EXPECT_FLOAT_EQ(frames[0].left, 0x123456 / 8388608.0F);
    EXPECT_EQ(frames[0].right, -1.0F);
    std::array<std::byte, 8> again;
    encode_frames(format, 0, frames, again);
    EXPECT_EQ(again, bytes) << "24 bits lose nothing";
}

TEST(HdaFormat, samples_beyond_full_scale_are_clipped) {
    for (const unsigned bytes_per_sample : {2U, 4U}) {
        const StreamFormat format{48000, 2, bytes_per_sample};
        const std::array frames{SoundFrame{3, -3}, SoundFrame{std::numeric_limits<float>::quiet_NaN(), 1}};
        std::vector<std::byte> bytes(2 * format.frame_bytes());
        encode_frames(format, 0, frames, bytes);
        std::array<SoundFrame, 2> again;
        decode_frames(format, 0, bytes, again);
        EXPECT_NEAR(again[0].left, 1, 0.0001);
        EXPECT_EQ(again[0].right, -1.0F);
        EXPECT_EQ(again[1].left, 0.0F);
    }
}

TEST(HdaFormat, converter_takes_its_two_channels_out_of_many) {
    const StreamFormat format{48000, 6, 2};
    std::array<std::byte, 12> bytes;
    for (unsigned channel = 0; channel < 6; ++channel) {
        store_le(&bytes[channel * 2], static_cast<int16_t>(channel * 0x1000));
    }
    std::array<SoundFrame, 1> frames;
    decode_frames(format, 2, bytes, frames);
    EXPECT_EQ(frames[0], (SoundFrame{0x2000 / 32768.0F, 0x3000 / 32768.0F}));
    decode_frames(format, 5, bytes, frames);
    EXPECT_EQ(frames[0], (SoundFrame{0x5000 / 32768.0F, 0x5000 / 32768.0F})) << "one channel is heard on both sides";
    decode_frames(format, 6, bytes, frames);
    EXPECT_EQ(frames[0], SoundFrame{});
}

TEST(HdaFormat, other_channels_are_recorded_silent) {
    const StreamFormat format{48000, 3, 2};
    std::array<std::byte, 6> bytes;
    bytes.fill(std::byte{0x77});
    encode_frames(format, 1, std::array{SoundFrame{0.5F, -0.5F}}, bytes);
    EXPECT_EQ(load_le<int16_t>(&bytes[0]), 0);
    EXPECT_EQ(load_le<int16_t>(&bytes[2]), 0x4000);
    EXPECT_EQ(load_le<int16_t>(&bytes[4]), -0x4000);
}

}  // namespace
}  // namespace skep::hda
