// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/firmware_wrap.hpp"

namespace skep {
namespace {

constexpr std::string_view k_pair = "\033c\033[?7l";
constexpr std::string_view k_wrap_on = "\033[?7h";
constexpr char k_escape = '\033';

// How much of the pair is there after one more character.
size_t advance(size_t matched, char character) {
    if (character == k_pair[matched]) {
        return matched + 1;
    }
    const bool reset_again = matched == 3 && character == 'c';  // ESC c ESC c
    return reset_again ? 2 : character == k_escape ? 1 : 0;
}

}  // namespace

std::string FirmwareWrap::pass(std::string_view bytes) {
    std::string passed;
    passed.reserve(bytes.size() + k_wrap_on.size());
    for (const char character : bytes) {
        passed += character;
        m_matched = advance(m_matched, character);
        if (m_matched == k_pair.size()) {
            passed += k_wrap_on;
            m_matched = 0;
        }
    }
    return passed;
}

}  // namespace skep
