// SPDX-License-Identifier: GPL-3.0-or-later
// Keys by name, as in `sendkeys ctrl-alt-delete`: the names of the key table, those that people know from other
// machine programs, and single characters of a US keyboard.
#pragma once

#include <string_view>
#include <vector>

#include "display/input/input_hub.hpp"
#include "vmm/base/result.hpp"

namespace skep {

inline constexpr size_t k_most_chord_keys = 8;

// Keys to hold together, in the order of pressing: "ctrl-alt-delete", "f1", "shift-a", "ctrl-0x2d". "-" alone and after
// a last dash is the minus key. Kind invalid_input names the part that is no key.
[[nodiscard]] Result<std::vector<KeyCode>> parse_chord(std::string_view text);

}  // namespace skep
