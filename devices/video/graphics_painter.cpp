// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/graphics_painter.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bits.hpp"

namespace skep::vga {
namespace {

constexpr uint32_t k_group = 8;  // dots that one fetch of 32 bits makes

// A 5 or 6 bit component as 8 bits, so that white is white.
constexpr uint32_t widen(uint32_t value, unsigned bits) { return (value << (8 - bits) | value >> (2 * bits - 8)) & 0xff; }

uint32_t from_555(uint32_t pixel) {
    return widen(pixel >> 10 & 31, 5) << 16 | widen(pixel >> 5 & 31, 5) << 8 | widen(pixel & 31, 5);
}
uint32_t from_565(uint32_t pixel) {
    return widen(pixel >> 11 & 31, 5) << 16 | widen(pixel >> 5 & 63, 6) << 8 | widen(pixel & 31, 5);
}

void convert(const Frame& frame, const std::byte* from, std::span<uint32_t> to) {
    switch (frame.bits_per_pixel) {
        case 8:
            for (size_t x = 0; x < to.size(); ++x) {
                to[x] = frame.colours[static_cast<uint8_t>(from[x])];
            }
            break;
        case 15:
            for (size_t x = 0; x < to.size(); ++x) {
                to[x] = from_555(load_le<uint16_t>(from + 2 * x));
            }
            break;
        case 16:
            for (size_t x = 0; x < to.size(); ++x) {
                to[x] = from_565(load_le<uint16_t>(from + 2 * x));
            }
            break;
        case 24:
            for (size_t x = 0; x < to.size(); ++x) {
                to[x] = static_cast<uint32_t>(from[3 * x]) | static_cast<uint32_t>(from[3 * x + 1]) << 8 |
                        static_cast<uint32_t>(from[3 * x + 2]) << 16;
            }
            break;
        default:
            for (size_t x = 0; x < to.size(); ++x) {
                to[x] = load_le<uint32_t>(from + 4 * x) & 0x00ff'ffff;
            }
    }
}

// Eight dots of 32 bits: byte p is of map p.
void spread(Frame::Shift shift, uint32_t maps, uint8_t* dots) {
    switch (shift) {
        case Frame::Shift::planes:
            for (unsigned dot = 0; dot < k_group; ++dot) {
                const uint32_t bits = maps >> (7 - dot);
                dots[dot] = static_cast<uint8_t>((bits & 1) | (bits >> 7 & 2) | (bits >> 14 & 4) | (bits >> 21 & 8));
            }
            break;
        case Frame::Shift::pairs:  // four pixels of maps 0 and 2, then four of 1 and 3
            for (unsigned dot = 0; dot < k_group; ++dot) {
                const uint32_t bits = maps >> (dot < 4 ? 0 : 8) >> (6 - 2 * (dot & 3));
                dots[dot] = static_cast<uint8_t>((bits & 3) | (bits >> 14 & 12));
            }
            break;
        case Frame::Shift::bytes:  // four pixels, two dots wide
            for (unsigned dot = 0; dot < k_group; ++dot) {
                dots[dot] = static_cast<uint8_t>(maps >> (8 * (dot / 2)));
            }
            break;
    }
}

uint64_t with_bit(uint64_t value, unsigned position, bool set) {
    return position == 0 ? value : (value & ~bit(position)) | (set ? bit(position) : 0);
}

}  // namespace

void GraphicsPainter::paint_linear(const Frame& frame, std::span<const std::byte> vram,
                                   const std::function<bool(uint64_t, uint64_t)>& is_changed, RowPainter& painter) {
    const uint64_t row_bytes = uint64_t{frame.size.width} * ((frame.bits_per_pixel + 7U) / 8);
    m_row.assign(frame.size.width, 0);
    for (uint32_t y = 0; y < frame.size.height; ++y) {
        const uint64_t start = frame.start + uint64_t{y} * frame.row_step;
        if (start + row_bytes > vram.size()) {
            std::fill(m_row.begin(), m_row.end(), 0);  // beyond the memory there is nothing
        } else if (is_changed(start, start + row_bytes)) {
            convert(frame, vram.data() + start, m_row);
        } else {
            continue;
        }
        painter.put(y, 0, m_row);
    }
}

void GraphicsPainter::fetch_dots(const Frame& frame, std::span<const std::byte> vram, uint64_t address, uint32_t line_of_row) {
    for (uint32_t group = 0; group * k_group < m_dots.size(); ++group) {
        uint64_t place = with_bit(address + group, frame.row_bit_13, (line_of_row & 1) != 0);
        place = with_bit(place, frame.row_bit_14, (line_of_row & 2) != 0) & frame.map_mask;
        spread(frame.shift, load_le<uint32_t>(&vram[place * 4]), &m_dots[size_t{group} * k_group]);
    }
}

void GraphicsPainter::paint_planar(const Frame& frame, std::span<const std::byte> vram, RowPainter& painter) {
    const unsigned wide = frame.double_dots ? 2 : 1;
    const unsigned high = frame.double_lines ? 2 : 1;
    m_dots.assign(size_t{frame.columns + 1} * k_group, 0);
    m_row.assign(frame.size.width, 0);
    uint64_t address = frame.start;
    uint32_t first_line = 0;  // of the picture that began last
    uint8_t panning = frame.panning;
    for (uint32_t y = 0; y < frame.size.height; ++y) {
        const uint32_t line = (y - first_line) / high;
        const uint64_t row = line / frame.row_lines;
        fetch_dots(frame, vram, address + row * frame.row_step, line % frame.row_lines);
        for (size_t x = 0; x < m_row.size(); ++x) {
            const uint8_t dot = m_dots[x / wide + panning];
            m_row[x] = frame.shift == Frame::Shift::bytes ? frame.colours[dot] : frame.sixteen[dot];
        }
        painter.put(y, 0, m_row);
        if (y == frame.line_compare) {
            address = 0;
            first_line = y + 1;
            panning = frame.panning_ends ? 0 : panning;
        }
    }
}

}  // namespace skep::vga
