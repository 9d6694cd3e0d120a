// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/text_painter.hpp"

#include <algorithm>
#include <array>

namespace skep::vga {
namespace {

constexpr unsigned k_characters = 256;
constexpr unsigned k_font_map = 2;
constexpr unsigned k_most_dots = 9 * 2;

}  // namespace

// Copies the two fonts; true when they are not those of last time.
bool TextPainter::take_fonts(const Frame& frame, std::span<const std::byte> vram) {
    std::vector<uint8_t> fonts(2 * k_characters * k_glyph_lines);
    for (unsigned i = 0; i < fonts.size(); ++i) {
        const unsigned font = i / (k_characters * k_glyph_lines);
        const unsigned byte = i % (k_characters * k_glyph_lines);
        fonts[i] = static_cast<uint8_t>(vram[((frame.fonts[font] + byte) & 0xffffU) * 4 + k_font_map]);
    }
    const bool changed = fonts != m_fonts;
    m_fonts = std::move(fonts);
    return changed;
}

bool TextPainter::paint(const Frame& frame, const TextCursor& cursor, BlinkPhase phase, std::span<const std::byte> vram,
                        RowPainter& painter) {
    const uint32_t rows = frame.size.height / (frame.row_lines * (frame.double_lines ? 2 : 1));
    if (take_fonts(frame, vram)) {
        forget();
    }
    m_cells.resize(size_t{rows} * frame.columns);
    m_has_blinking = false;
    bool changed = false;
    for (uint32_t row = 0; row < rows; ++row) {
        for (uint32_t column = 0; column < frame.columns; ++column) {
            const uint64_t address = (frame.start + uint64_t{row} * frame.row_step + column) & 0xffff;
            Cell cell{.character = static_cast<uint8_t>(vram[cell_byte(address)]),
                      .attribute = static_cast<uint8_t>(vram[cell_byte(address) + 1]),
                      .cursor = cursor.shown && phase.cursor_lit && cursor.cell == address,
                      .drawn = true};
            const bool blinks = frame.blinks && (cell.attribute & 0x80) != 0;
            m_has_blinking = m_has_blinking || blinks;
            cell.dark = blinks && !phase.characters_lit;
            Cell& known = m_cells[size_t{row} * frame.columns + column];
            if (cell != known || cell.cursor) {  // a cursor may have changed its shape
                changed = changed || cell.character != known.character || cell.attribute != known.attribute;
                known = cell;
                draw(frame, cursor, cell, column, row, painter);
            }
        }
    }
    return changed;
}

// A line of a cell: bit 8 is the first dot, bit 0 the ninth.
uint32_t TextPainter::dots_of(const Frame& frame, const TextCursor& cursor, const Cell& cell, unsigned line) const {
    if (cell.cursor && line >= cursor.first_line && line <= cursor.last_line) {
        return 0x1ff;
    }
    if (cell.dark) {
        return 0;
    }
    if (line == frame.underline && (cell.attribute & 7) == 1) {
        return 0x1ff;
    }
    const unsigned font = (cell.attribute & 8) != 0 ? 1 : 0;
    const uint32_t glyph = m_fonts[(font * k_characters + cell.character) * k_glyph_lines + line % k_glyph_lines];
    const bool continues = frame.line_graphics && cell.character >= 0xc0 && cell.character <= 0xdf;
    return glyph << 1 | (continues ? glyph & 1 : 0);
}

void TextPainter::draw(const Frame& frame, const TextCursor& cursor, const Cell& cell, uint32_t column, uint32_t row,
                       RowPainter& painter) const {
    const uint32_t foreground = frame.sixteen[cell.attribute & 0x0f];
    const uint32_t background = frame.sixteen[cell.attribute >> 4 & (frame.blinks ? 7 : 15)];
    const unsigned wide = frame.double_dots ? 2 : 1;
    const unsigned high = frame.double_lines ? 2 : 1;
    const unsigned dots = frame.dots * wide;
    std::array<uint32_t, k_most_dots> pixels{};
    for (unsigned line = 0; line < frame.row_lines; ++line) {
        const uint32_t pattern = dots_of(frame, cursor, cell, line);
        for (unsigned dot = 0; dot < dots; ++dot) {
            pixels[dot] = (pattern >> (8 - dot / wide) & 1) != 0 ? foreground : background;
        }
        for (unsigned copy = 0; copy < high; ++copy) {
            painter.put((row * frame.row_lines + line) * high + copy, column * dots, std::span(pixels).first(dots));
        }
    }
}

}  // namespace skep::vga
