// SPDX-License-Identifier: GPL-3.0-or-later
// ViewerPicture: one viewer's own copy of the screen. It is encoded and sent from here at the viewer's pace, while the
// guest draws on. Copying compares: damage comes in pages of the guest's framebuffer, a letter is smaller.
#pragma once

#include <cstdint>
#include <vector>

#include "display/surface/screen.hpp"

namespace skep {

class ViewerPicture {
  public:
    explicit ViewerPicture(ScreenSize size) { resize(size); }

    [[nodiscard]] ScreenSize size() const { return m_size; }
    [[nodiscard]] char* pixels() { return reinterpret_cast<char*>(m_pixels.data()); }
    void resize(ScreenSize size);  // black; pixels() moves

    // What differs in the damaged places is copied; returns the differing tiles, neighbours in a row joined. A surface
    // of another size is left alone (it is a newer one, whose own update comes).
    [[nodiscard]] std::vector<ScreenRect> copy(const Surface& surface, const Damage& damage);

  private:
    void copy_band(const Surface& surface, const ScreenRect& band, std::vector<ScreenRect>& changed);
    [[nodiscard]] bool copy_tile(const Surface& surface, const ScreenRect& tile);

    ScreenSize m_size;
    std::vector<uint32_t> m_pixels;
};

}  // namespace skep
