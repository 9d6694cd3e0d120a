// SPDX-License-Identifier: GPL-3.0-or-later
// SeaBIOS' serial console (src/sercon.c) resets the terminal and turns its automatic line wrap off (RIS, then DECAWM off:
// ESC c ESC [ ? 7 l), and nobody turns it on again: whatever boots later would lose the end of every long line. A
// terminal without wrap is nothing that Linux' shells expect (terminfo's "am"), so it goes on right behind that pair.
// The firmware itself does not notice: it moves the cursor explicitly at the right margin, where a wrap is only pending.
// DECAWM off without the reset before it comes from a program that means it, and stays.
#pragma once

#include <string>
#include <string_view>

namespace skep {

// Sits before a terminal; one thread. The pair is also found when it comes in pieces.
class FirmwareWrap {
  public:
    // The bytes for the terminal: `bytes`, with DECAWM on inserted after each pair.
    [[nodiscard]] std::string pass(std::string_view bytes);

  private:
    size_t m_matched = 0;  // characters of the pair that have come last
};

}  // namespace skep
