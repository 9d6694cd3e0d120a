// SPDX-License-Identifier: GPL-3.0-or-later
// The frame check sequence of Ethernet (IEEE 802.3, 3.2.9), for cards that hand it to their driver.
#pragma once

#include <cstdint>
#include <span>

namespace skep {

// Little-endian it is what follows the frame on the wire.
[[nodiscard]] uint32_t frame_crc(std::span<const uint8_t> frame);

}  // namespace skep
