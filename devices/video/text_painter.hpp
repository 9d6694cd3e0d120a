// SPDX-License-Identifier: GPL-3.0-or-later
// Text modes, drawn with the guest's own fonts: only cells that have changed.
// Left out: smooth scrolling and the split screen of text modes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/video/frame.hpp"
#include "devices/video/row_painter.hpp"

namespace skep::vga {

// Which halves of the blinking are shown now.
struct BlinkPhase {
    bool cursor_lit = true;
    bool characters_lit = true;
    bool operator==(const BlinkPhase&) const = default;
};

class TextPainter {
  public:
    // Everything is drawn anew next time.
    void forget() { m_cells.clear(); }
    // True when a character or its attribute is not what it was. The frame is the same as last time, but for its start, unless forget()
    // was called since.
    bool paint(const Frame& frame, const TextCursor& cursor, BlinkPhase phase, std::span<const std::byte> vram,
               RowPainter& painter);
    // Does what was drawn last have characters that blink?
    [[nodiscard]] bool has_blinking_characters() const { return m_has_blinking; }

  private:
    static constexpr unsigned k_glyph_lines = 32;
    struct Cell {
        uint8_t character = 0;
        uint8_t attribute = 0;
        bool cursor = false;
        bool dark = false;  // a character that blinks, in the dark half
        bool drawn = false;
        bool operator==(const Cell&) const = default;
    };
    bool take_fonts(const Frame& frame, std::span<const std::byte> vram);
    void draw(const Frame& frame, const TextCursor& cursor, const Cell& cell, uint32_t column, uint32_t row,
              RowPainter& painter) const;
    [[nodiscard]] uint32_t dots_of(const Frame& frame, const TextCursor& cursor, const Cell& cell, unsigned line) const;

    std::vector<Cell> m_cells;
    std::vector<uint8_t> m_fonts;  // two of 256 characters of k_glyph_lines bytes
    bool m_has_blinking = false;
};

// The byte of the memory where a cell's character lies; its attribute follows.
[[nodiscard]] constexpr uint64_t cell_byte(uint64_t address) { return (address & 0xffff) * 4; }

}  // namespace skep::vga
