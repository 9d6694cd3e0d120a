// SPDX-License-Identifier: GPL-3.0-or-later
// What the monitor says about itself: one block of 128 bytes (VESA E-EDID standard 1.4, chapter 3).
#pragma once

#include <array>
#include <cstdint>

#include "display/surface/geometry.hpp"

namespace skep {

using Edid = std::array<uint8_t, 128>;

// A monitor whose preferred mode is this size (cut to 64..4095 each, a multiple of 8 wide) at 60 Hz, and which can show the
// other as well.
[[nodiscard]] Edid make_edid(ScreenSize preferred, ScreenSize other = {});

}  // namespace skep
