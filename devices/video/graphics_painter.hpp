// SPDX-License-Identifier: GPL-3.0-or-later
// Graphics modes: rows of video memory to rows of pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devices/video/frame.hpp"
#include "devices/video/row_painter.hpp"

namespace skep::vga {

class GraphicsPainter {
  public:
    // Frame::Kind::linear. is_changed: may the bytes [start, end) of the memory have changed since they were drawn?
    void paint_linear(const Frame& frame, std::span<const std::byte> vram,
                      const std::function<bool(uint64_t start, uint64_t end)>& is_changed, RowPainter& painter);
    // Frame::Kind::planar: all rows, since addresses may wrap, repeat and interleave.
    void paint_planar(const Frame& frame, std::span<const std::byte> vram, RowPainter& painter);

  private:
    void fetch_dots(const Frame& frame, std::span<const std::byte> vram, uint64_t address, uint32_t line_of_row);

    std::vector<uint32_t> m_row;
    std::vector<uint8_t> m_dots;
};

}  // namespace skep::vga
