// SPDX-License-Identifier: GPL-3.0-or-later
// What is printed on keys: X keysyms (X11/keysymdef.h, RFC 6143 section 7.5.4) and text, as keys of a US keyboard.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "display/input/input_hub.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct KeyStroke {
    KeyCode key = 0;
    bool shift = false;  // to be held for it
    bool operator==(const KeyStroke&) const = default;
};

// Nothing for symbols that a US keyboard lacks.
[[nodiscard]] std::optional<KeyStroke> stroke_of_keysym(uint32_t keysym);
// True for symbols that are characters (letters, digits, marks, space): shift changes them.
[[nodiscard]] bool is_character(uint32_t keysym);

// Newline is Return, tab is Tab. Kind invalid_input names the first character that a US keyboard lacks, or says that
// the text is no UTF-8.
[[nodiscard]] Result<std::vector<KeyStroke>> strokes_of_text(std::string_view utf8);

}  // namespace skep
