// SPDX-License-Identifier: GPL-3.0-or-later
// KeysymKeyboard: a viewer that tells what is printed on its keys instead of where they are, as a keyboard of the
// guest. The guest is taken to have a US layout, whatever the viewer's is.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>

#include "display/input/input_hub.hpp"
#include "display/input/keysyms.hpp"

namespace skep {

// One viewer; also takes keys by place (key()), and releases all of its own keys, and no others, when told or
// destroyed. One thread at a time.
class KeysymKeyboard {
  public:
    explicit KeysymKeyboard(InputHub& hub) : m_hub(hub) {}
    ~KeysymKeyboard() { release_all(); }
    KeysymKeyboard(const KeysymKeyboard&) = delete;
    KeysymKeyboard& operator=(const KeysymKeyboard&) = delete;

    void symbol(uint32_t keysym, bool down);
    void key(KeyCode code, bool down);
    void release_all();

  private:
    void press(const KeyStroke& stroke, bool character);

    InputHub& m_hub;
    std::bitset<k_key_codes> m_down;
    std::map<uint32_t, KeyCode> m_symbols;  // pressed symbols: the key stays the same until they go up
};

}  // namespace skep
