// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenControl: what the control server may ask of the machine's screen, keyboard and pointer.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct ScreenState {
    uint32_t width = 0;  // 0: nothing has been shown yet
    uint32_t height = 0;
    bool text_mode = false;
    bool absolute_pointer = false;  // false: viewers have to grab the mouse
};

// A picture in shared memory: rows of 32-bit pixels without gaps, 0x00RRGGBB in host order.
struct ScreenShot {
    Fd pixels;
    uint32_t width = 0;
    uint32_t height = 0;
};

struct ScreenText {
    std::string text;  // UTF-8, one line for each row
    uint32_t columns = 0;
    uint32_t rows = 0;
    uint32_t cursor_column = 0;
    uint32_t cursor_row = 0;
};

// Called on the control loop's thread; nothing waits for the guest. Kind not_found where there is no screen; input
// goes to a machine without one, too.
class ScreenControl {
  public:
    virtual ~ScreenControl() = default;
    // A connected socket that speaks RFB.
    [[nodiscard]] virtual Result<Fd> open_viewer() = 0;
    [[nodiscard]] virtual Result<ScreenState> state() = 0;
    [[nodiscard]] virtual Result<ScreenShot> shoot() = 0;
    // Kind unsupported while the guest shows graphics.
    [[nodiscard]] virtual Result<ScreenText> text() = 0;
    // Kind unsupported when the display cannot tell the guest.
    [[nodiscard]] virtual Status resize(uint32_t width, uint32_t height) = 0;

    // These return after how many milliseconds the guest has been given everything asked for so far.
    // Chords separated by blanks, as parse_chord() reads them.
    [[nodiscard]] virtual Result<uint64_t> send_keys(const std::string& chords, uint64_t hold_ms) = 0;
    [[nodiscard]] virtual Result<uint64_t> type_text(const std::string& text) = 0;
    // button: "left", "right" or "middle". Kind unsupported while no tablet of the guest listens.
    [[nodiscard]] virtual Result<uint64_t> click(uint32_t x, uint32_t y, const std::string& button) = 0;
};

}  // namespace skep
