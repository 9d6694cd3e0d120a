// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/video/row_painter.hpp"

#include <algorithm>
#include <cstring>

namespace skep::vga {

RowPainter::RowPainter(ScreenSource::Canvas& canvas, Surface& surface, bool whole)
    : m_canvas(canvas), m_surface(surface), m_whole(whole) {
    if (whole) {
        canvas.damage({0, 0, surface.size().width, surface.size().height});
    }
}

RowPainter::~RowPainter() {
    if (!m_pending.empty()) {
        m_canvas.damage(m_pending);
    }
}

void RowPainter::put(uint32_t y, uint32_t x, std::span<const uint32_t> pixels) {
    const std::span<uint32_t> row = m_surface.row(y).subspan(x, pixels.size());
    if (m_whole) {
        std::copy(pixels.begin(), pixels.end(), row.begin());
        return;
    }
    if (std::memcmp(row.data(), pixels.data(), pixels.size_bytes()) == 0) {
        return;
    }
    const auto first = static_cast<size_t>(std::mismatch(pixels.begin(), pixels.end(), row.begin()).first - pixels.begin());
    const auto last = static_cast<size_t>(std::mismatch(pixels.rbegin(), pixels.rend(), row.rbegin()).first - pixels.rbegin());
    const std::span<const uint32_t> changed = pixels.subspan(first, pixels.size() - last - first);
    std::copy(changed.begin(), changed.end(), row.begin() + static_cast<std::ptrdiff_t>(first));
    note(y, x + static_cast<uint32_t>(first), x + static_cast<uint32_t>(pixels.size() - last));
}

void RowPainter::note(uint32_t y, uint32_t left, uint32_t right) {
    const ScreenRect rect{left, y, right, y + 1};
    const bool follows = !m_pending.empty() && y <= m_pending.bottom && y >= m_pending.top;
    if (!follows && !m_pending.empty()) {
        m_canvas.damage(m_pending);
    }
    m_pending = follows ? m_pending.joined(rect) : rect;
}

}  // namespace skep::vga
