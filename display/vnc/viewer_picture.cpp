// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/viewer_picture.hpp"

#include <algorithm>
#include <cstring>

namespace skep {
namespace {

constexpr uint32_t k_tile_width = 64;
constexpr uint32_t k_tile_height = 16;

uint32_t next_edge(uint32_t from, uint32_t step, uint32_t end) { return std::min(from - from % step + step, end); }

}  // namespace

void ViewerPicture::resize(ScreenSize size) {
    m_size = size;
    m_pixels.assign(size_t{size.width} * size.height, 0);
}

std::vector<ScreenRect> ViewerPicture::copy(const Surface& surface, const Damage& damage) {
    std::vector<ScreenRect> changed;
    if (surface.size() != m_size) {
        return changed;
    }
    for (const ScreenRect& damaged : damage.rects()) {
        const ScreenRect rect = damaged.within(m_size);
        for (uint32_t top = rect.top; top < rect.bottom;) {
            const uint32_t bottom = next_edge(top, k_tile_height, rect.bottom);
            copy_band(surface, {rect.left, top, rect.right, bottom}, changed);
            top = bottom;
        }
    }
    return changed;
}

void ViewerPicture::copy_band(const Surface& surface, const ScreenRect& band, std::vector<ScreenRect>& changed) {
    bool joins = false;  // the tile to the left has changed too
    for (uint32_t left = band.left; left < band.right;) {
        const ScreenRect tile{left, band.top, next_edge(left, k_tile_width, band.right), band.bottom};
        const bool differs = copy_tile(surface, tile);
        if (differs && joins) {
            changed.back().right = tile.right;
        } else if (differs) {
            changed.push_back(tile);
        }
        joins = differs;
        left = tile.right;
    }
}

bool ViewerPicture::copy_tile(const Surface& surface, const ScreenRect& tile) {
    const size_t bytes = size_t{tile.right - tile.left} * sizeof(uint32_t);
    bool differs = false;
    for (uint32_t y = tile.top; y < tile.bottom; ++y) {
        const uint32_t* const from = surface.row(y).data() + tile.left;
        uint32_t* const to = m_pixels.data() + size_t{y} * m_size.width + tile.left;
        if (std::memcmp(to, from, bytes) != 0) {
            std::memcpy(to, from, bytes);
            differs = true;
        }
    }
    return differs;
}

}  // namespace skep
