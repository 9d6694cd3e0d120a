// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/edid.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>

namespace skep {
namespace {

// CVT 1.2 reduced blanking, rounded to whole lines.
constexpr uint32_t k_h_blank = 160, k_h_front = 48, k_h_sync = 32;
constexpr uint32_t k_v_front = 3, k_v_sync = 6, k_v_back = 14, k_v_blank = k_v_front + k_v_sync + k_v_back;
constexpr uint32_t k_refresh = 60;
constexpr uint32_t k_dots_per_inch = 96;

constexpr size_t k_first_descriptor = 54, k_descriptor_size = 18;

uint8_t low(uint32_t value) { return static_cast<uint8_t>(value); }
uint32_t millimetres(uint32_t pixels) { return pixels * 254 / (k_dots_per_inch * 10); }

ScreenSize within_timing(ScreenSize size) {
    return {std::clamp(size.width & ~7U, 64U, 4088U), std::clamp(size.height, 64U, 4095U)};
}

// 3.10.2: detailed timing.
void put_timing(uint8_t* to, ScreenSize size) {
    const auto [width, height] = size;
    const uint32_t clock = (width + k_h_blank) * (height + k_v_blank) / 10'000 * k_refresh;  // in 10 kHz
    const uint32_t mm_wide = millimetres(width), mm_high = millimetres(height);
    const uint8_t bytes[k_descriptor_size] = {
        low(clock), low(clock >> 8),
        low(width), low(k_h_blank), low((width >> 8) << 4 | k_h_blank >> 8),
        low(height), low(k_v_blank), low((height >> 8) << 4 | k_v_blank >> 8),
        low(k_h_front), low(k_h_sync), low(k_v_front << 4 | k_v_sync), 0,
        low(mm_wide), low(mm_high), low((mm_wide >> 8) << 4 | mm_high >> 8),
        0, 0, 0x1a,  // no border; digital separate syncs, horizontal positive
    };
    std::copy(std::begin(bytes), std::end(bytes), to);
}

// 3.10.3: a descriptor of text, ended by a line feed and filled with blanks.
void put_text(uint8_t* to, uint8_t tag, std::string_view text) {
    std::fill_n(to, k_descriptor_size, uint8_t{0});
    to[3] = tag;
    std::fill_n(to + 5, k_descriptor_size - 5, uint8_t{' '});
    std::copy(text.begin(), text.end(), to + 5);
    to[5 + text.size()] = '\n';
}

}  // namespace

Edid make_edid(ScreenSize preferred, ScreenSize other) {
    const ScreenSize native = within_timing(preferred);
    Edid edid{0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
    edid[8] = 0x4d;  // "SKP", five bits a letter
    edid[9] = 0x70;
    edid[10] = 1;          // product code
    edid[16] = 1;          // week and year of manufacture
    edid[17] = 2026 - 1990;
    edid[18] = 1;          // version 1.4
    edid[19] = 4;
    edid[20] = 0xa5;       // digital, 8 bits a colour, DisplayPort
    edid[21] = low(std::min(millimetres(native.width) / 10, 255U));
    edid[22] = low(std::min(millimetres(native.height) / 10, 255U));
    edid[23] = 120;        // gamma 2.2
    edid[24] = 0x06;       // RGB; sRGB; the first timing is the native one
    constexpr uint8_t k_srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    std::copy(std::begin(k_srgb), std::end(k_srgb), edid.begin() + 25);
    edid[35] = 0x21;       // 640x480 and 800x600 at 60 Hz
    edid[36] = 0x08;       // 1024x768 at 60 Hz
    std::fill_n(edid.begin() + 38, 16, uint8_t{1});  // no standard timings
    put_timing(&edid[k_first_descriptor], native);
    put_text(&edid[k_first_descriptor + k_descriptor_size], 0xfc, "Skep");
    uint8_t* const third = &edid[k_first_descriptor + 2 * k_descriptor_size];
    third[3] = 0x10;  // unused
    if (other.acceptable() && within_timing(other) != native) {
        put_timing(third, within_timing(other));
    }
    edid[k_first_descriptor + 3 * k_descriptor_size + 3] = 0x10;
    edid[127] = low(0U - std::accumulate(edid.begin(), edid.end() - 1, 0U));
    return edid;
}

}  // namespace skep
