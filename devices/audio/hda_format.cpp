// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_format.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "vmm/base/bits.hpp"

namespace skep::hda {
namespace {

constexpr float k_scale16 = 32768.0F;
constexpr float k_scale32 = 2147483648.0F;

float sample_at(const std::byte* from, unsigned container_bytes) {
    return container_bytes == 2 ? static_cast<float>(load_le<int16_t>(from)) / k_scale16
                                : static_cast<float>(load_le<int32_t>(from)) / k_scale32;
}

// In double: floats do not hold 2^31 - 1. A NaN of the host's becomes silence.
void put_sample(std::byte* to, unsigned container_bytes, float sample) {
    const double value = std::isnan(sample) ? 0.0 : std::clamp(static_cast<double>(sample), -1.0, 1.0);
    if (container_bytes == 2) {
        store_le(to, static_cast<int16_t>(std::min(std::lround(value * k_scale16), 32767L)));
    } else {
        store_le(to, static_cast<int32_t>(std::min(std::llround(value * k_scale32), 2147483647LL)));
    }
}

}  // namespace

std::optional<StreamFormat> StreamFormat::parse(uint16_t fmt) {
    constexpr std::array<unsigned, 8> container_of_bits{0, 2, 4, 4, 4, 0, 0, 0};
    const bool is_pcm = bits(fmt, 15, 1) == 0;
    const uint32_t base = bits(fmt, 14, 1) != 0 ? 44100 : 48000;
    const auto multiple = static_cast<uint32_t>(bits(fmt, 11, 3)) + 1;
    const auto divisor = static_cast<uint32_t>(bits(fmt, 8, 3)) + 1;
    const unsigned container = container_of_bits[bits(fmt, 4, 3)];
    if (!is_pcm || multiple > 4 || container == 0) {
        return std::nullopt;
    }
    return StreamFormat{base * multiple / divisor, static_cast<unsigned>(bits(fmt, 0, 4)) + 1, container};
}

void decode_frames(const StreamFormat& format, unsigned first, std::span<const std::byte> bytes, std::span<SoundFrame> frames) {
    const unsigned step = format.frame_bytes();
    if (first >= format.channels) {
        std::fill(frames.begin(), frames.end(), SoundFrame{});
        return;
    }
    const unsigned left = first * format.container_bytes;
    const unsigned right = std::min(first + 1, format.channels - 1) * format.container_bytes;
    for (size_t index = 0; index < frames.size(); ++index) {
        const std::byte* frame = &bytes[index * step];
        frames[index] = {sample_at(frame + left, format.container_bytes), sample_at(frame + right, format.container_bytes)};
    }
}

void encode_frames(const StreamFormat& format, unsigned first, std::span<const SoundFrame> frames, std::span<std::byte> bytes) {
    const unsigned step = format.frame_bytes();
    const unsigned size = format.container_bytes;
    for (size_t index = 0; index < frames.size(); ++index) {
        for (unsigned channel = 0; channel < format.channels; ++channel) {
            const float sample = channel == first ? frames[index].left : channel == first + 1 ? frames[index].right : 0;
            put_sample(&bytes[index * step + channel * size], size, sample);
        }
    }
}

}  // namespace skep::hda
