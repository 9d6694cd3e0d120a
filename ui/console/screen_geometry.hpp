// SPDX-License-Identifier: GPL-3.0-or-later
// Where a guest's picture lies in a window, in device pixels: those that the screen has, not Qt's logical ones.
#pragma once

#include <QPoint>
#include <QRect>
#include <QRegion>
#include <QSize>

namespace skep::ui {

enum class ScaleMode {
    fit,     // as large as the window allows, larger than it is as well
    exact,   // one guest pixel is one device pixel; scrolls when it is larger than the window
    follow,  // the guest is asked for the window's size; until it has it, exact or shrunk
};

class ScreenGeometry {
  public:
    ScreenGeometry() = default;
    // `area` is the view's place in its window. `scroll` counts in exact mode only: how far the picture's corner is
    // beyond the view's.
    ScreenGeometry(ScaleMode mode, QSize guest, QRectF area, QPoint scroll = {});

    // Device pixels for a guest pixel.
    [[nodiscard]] double scale() const { return m_scale; }
    [[nodiscard]] QRect picture() const { return m_picture; }
    [[nodiscard]] bool pixel_exact() const { return m_picture.size() == m_guest; }
    // How far it can be scrolled; null where all of it is seen.
    [[nodiscard]] QSize scroll_range() const { return m_scroll_range; }

    // The guest pixel under a device pixel; beyond the picture the nearest one.
    [[nodiscard]] QPoint to_guest(QPointF device) const;
    // Every device pixel that shows something of these guest pixels.
    [[nodiscard]] QRect to_device(const QRect& guest) const;

  private:
    QSize m_guest;
    QRect m_picture;
    QSize m_scroll_range{0, 0};
    double m_scale = 1;
};

}  // namespace skep::ui
