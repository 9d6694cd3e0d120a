// SPDX-License-Identifier: GPL-3.0-or-later
// The keys that a PC keyboard has (105 of them, and those of Japanese, Brazilian and multimedia keyboards): one row
// each, from which every translation between the worlds is made.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "display/input/input_hub.hpp"

namespace skep {

struct KeyFacts {
    KeyCode key;            // KEY_* of <linux/input-event-codes.h>
    uint16_t set1;          // make code of scan code set 1; 0xe0xx with the prefix. Pause (0xe11d) is special
    uint8_t usage;          // USB HID Usage Tables, page 0x07; 0: none
    std::string_view name;  // as in `sendkeys`
};

// In the order of the key codes.
[[nodiscard]] std::span<const KeyFacts> key_table();
// Null for keys that are not in the table.
[[nodiscard]] const KeyFacts* find_key(KeyCode key);

}  // namespace skep
