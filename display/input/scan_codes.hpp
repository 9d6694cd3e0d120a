// SPDX-License-Identifier: GPL-3.0-or-later
// Key codes and the codes that keyboards, viewers and USB call them by.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "display/input/input_hub.hpp"

namespace skep {

// Nothing pressed: what the functions below answer for codes they do not know (KEY_RESERVED).
inline constexpr KeyCode k_no_key = 0;

// The bytes of scan code set 1 that a keyboard sends when a key goes down or up.
struct Set1Bytes {
    std::array<uint8_t, 6> bytes{};
    uint8_t count = 0;  // 0: the key has no code, or (Pause) none on release
    [[nodiscard]] std::span<const uint8_t> span() const { return std::span(bytes).first(count); }
};
[[nodiscard]] Set1Bytes set1_of_key(KeyCode key, bool down);

// One make code of set 1: 0x01 to 0x7f, or 0xe0xx with the prefix.
[[nodiscard]] KeyCode key_of_set1(uint16_t make);

// The code of a QEMU extended key event (RFB message 255): set 1 in one byte, bit 7 for the 0xe0 prefix; Print is also
// 0x54, Pause 0xc6.
[[nodiscard]] KeyCode key_of_qemu_code(uint32_t code);
[[nodiscard]] uint32_t qemu_code_of_key(KeyCode key);  // 0: none

// USB HID Usage Tables, page 0x07 (Keyboard/Keypad); 0: none.
[[nodiscard]] uint8_t hid_usage_of_key(KeyCode key);
[[nodiscard]] KeyCode key_of_hid_usage(uint32_t usage);

}  // namespace skep
