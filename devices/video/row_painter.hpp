// SPDX-License-Identifier: GPL-3.0-or-later
// Finished rows of pixels on their way to the surface: what is equal already is neither written nor damage, so that a page
// that was noted as changed costs a viewer no more than the pixels that did change.
#pragma once

#include <cstdint>
#include <span>

#include "display/surface/screen.hpp"

namespace skep::vga {

class RowPainter {
  public:
    // whole: everything is damage, and said once.
    RowPainter(ScreenSource::Canvas& canvas, Surface& surface, bool whole);
    // Tells the rest.
    ~RowPainter();
    RowPainter(const RowPainter&) = delete;
    RowPainter& operator=(const RowPainter&) = delete;

    // Pixels of row y from column x on; both inside the surface.
    void put(uint32_t y, uint32_t x, std::span<const uint32_t> pixels);

  private:
    void note(uint32_t y, uint32_t left, uint32_t right);

    ScreenSource::Canvas& m_canvas;
    Surface& m_surface;
    bool m_whole;
    ScreenRect m_pending;  // rows that follow one another
};

}  // namespace skep::vga
