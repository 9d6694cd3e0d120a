// SPDX-License-Identifier: GPL-3.0-or-later
// The format of a stream, as SDnFMT and the converters say it (HD Audio 1.0a, 3.7.1), and its samples in memory (4.5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "display/sound/sound_backend.hpp"

namespace skep::hda {

inline constexpr unsigned k_most_channels = 16;
inline constexpr unsigned k_most_frame_bytes = k_most_channels * 4;

struct StreamFormat {
    uint32_t rate = 48000;          // frames a second
    unsigned channels = 2;          // 1..16
    unsigned container_bytes = 2;   // of a sample: 2 for 16 bits; 20, 24 and 32 bits lie at the upper end of 4
    [[nodiscard]] unsigned frame_bytes() const { return channels * container_bytes; }

    // Nothing when the register says no PCM format or uses reserved encodings. Samples of 8 bits, which the codec does
    // not offer, are nothing either.
    static std::optional<StreamFormat> parse(uint16_t fmt);
};

// Takes the channels `first` and `first + 1` out of frames in guest byte order; a channel that is not there is the one
// before, or silent. bytes: frames.size() * format.frame_bytes().
void decode_frames(const StreamFormat& format, unsigned first, std::span<const std::byte> bytes, std::span<SoundFrame> frames);
// The other way round; the other channels become silent.
void encode_frames(const StreamFormat& format, unsigned first, std::span<const SoundFrame> frames, std::span<std::byte> bytes);

}  // namespace skep::hda
