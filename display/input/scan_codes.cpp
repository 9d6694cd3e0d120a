// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/scan_codes.hpp"

#include <linux/input-event-codes.h>

#include "display/input/key_table.hpp"

namespace skep {
namespace {

constexpr uint8_t k_released = 0x80;
constexpr uint16_t k_extended = 0xe000;

// One byte names a code of set 1 with or without prefix: 256 answers.
constexpr uint8_t packed(uint16_t make) { return static_cast<uint8_t>((make & 0x7f) | ((make & k_extended) != 0 ? 0x80 : 0)); }

std::array<KeyCode, 256> make_packed_table() {
    std::array<KeyCode, 256> table{};
    for (const KeyFacts& facts : key_table()) {
        if (facts.key != KEY_PAUSE) {
            table[packed(facts.set1)] = facts.key;
        }
    }
    return table;
}

const std::array<KeyCode, 256>& packed_table() {
    static const std::array<KeyCode, 256> table = make_packed_table();
    return table;
}

}  // namespace

Set1Bytes set1_of_key(KeyCode key, bool down) {
    const KeyFacts* const facts = find_key(key);
    if (facts == nullptr) {
        return {};
    }
    if (key == KEY_PAUSE) {  // make and break in one, and nothing when it goes up
        return down ? Set1Bytes{{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}, 6} : Set1Bytes{};
    }
    const auto code = static_cast<uint8_t>((facts->set1 & 0x7f) | (down ? 0 : k_released));
    return facts->set1 >= k_extended ? Set1Bytes{{0xe0, code}, 2} : Set1Bytes{{code}, 1};
}

KeyCode key_of_set1(uint16_t make) {
    const bool plain = make < 0x80;
    const bool extended = make >= k_extended && make < k_extended + 0x80;
    return plain || extended ? packed_table()[packed(make)] : k_no_key;
}

KeyCode key_of_qemu_code(uint32_t code) {
    switch (code) {
        case 0x54: return KEY_SYSRQ;
        case 0xc6: return KEY_PAUSE;
        default: return code < 256 ? packed_table()[code] : k_no_key;
    }
}

uint32_t qemu_code_of_key(KeyCode key) {
    switch (key) {
        case KEY_SYSRQ: return 0x54;
        case KEY_PAUSE: return 0xc6;
        default: break;
    }
    const KeyFacts* const facts = find_key(key);
    return facts != nullptr ? packed(facts->set1) : 0;
}

uint8_t hid_usage_of_key(KeyCode key) {
    const KeyFacts* const facts = find_key(key);
    return facts != nullptr ? facts->usage : 0;
}

KeyCode key_of_hid_usage(uint32_t usage) {
    for (const KeyFacts& facts : key_table()) {
        if (facts.usage == usage && usage != 0) {
            return facts.key;
        }
    }
    return k_no_key;
}

}  // namespace skep
