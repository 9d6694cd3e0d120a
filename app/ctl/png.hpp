// SPDX-License-Identifier: GPL-3.0-or-later
// PNG files (ISO/IEC 15948), written: 8 bits a colour, no transparency.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace skep {

// pixels: 0x00RRGGBB, rows without gaps, width * height of them.
[[nodiscard]] std::string encode_png(std::span<const uint32_t> pixels, uint32_t width, uint32_t height);

}  // namespace skep
