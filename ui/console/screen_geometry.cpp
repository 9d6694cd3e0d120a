// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenGeometry.
#include "ui/console/screen_geometry.hpp"

#include <algorithm>
#include <cmath>

namespace skep::ui {

namespace {

// Whole device pixels of the area: what is only partly inside is the neighbour's.
QRect whole_pixels(const QRectF& area) {
    // Less than a hundredth of a pixel is the rounding of the numbers themselves.
    constexpr double k_noise = 0.01;
    const QPoint first(static_cast<int>(std::ceil(area.left() - k_noise)),
                       static_cast<int>(std::ceil(area.top() - k_noise)));
    const QPoint end(static_cast<int>(std::floor(area.right() + k_noise)),
                     static_cast<int>(std::floor(area.bottom() + k_noise)));
    return {first, QSize(end.x() - first.x(), end.y() - first.y())};
}

double scale_of(ScaleMode mode, QSize guest, QSize room) {
    const double fit = std::min(double(room.width()) / guest.width(), double(room.height()) / guest.height());
    switch (mode) {
        case ScaleMode::fit:
            return fit;
        case ScaleMode::follow:
            return std::min(1.0, fit);
        case ScaleMode::exact:
            break;
    }
    return 1;
}

// Centred where there is room; else from `scroll` on.
int start(int room, int size, int scroll) {
    return room >= size ? (room - size) / 2 : -std::clamp(scroll, 0, size - room);
}

}  // namespace

ScreenGeometry::ScreenGeometry(ScaleMode mode, QSize guest, QRectF area, QPoint scroll) : m_guest(guest) {
    const QRect room = whole_pixels(area);
    if (guest.isEmpty() || room.isEmpty()) {
        return;
    }
    m_scale = scale_of(mode, guest, room.size());
    const QSize size(std::max(1, qRound(guest.width() * m_scale)), std::max(1, qRound(guest.height() * m_scale)));
    m_picture = {room.left() + start(room.width(), size.width(), scroll.x()),
                 room.top() + start(room.height(), size.height(), scroll.y()), size.width(), size.height()};
    if (mode == ScaleMode::exact) {
        m_scroll_range = (size - room.size()).expandedTo({0, 0});
    }
}

QPoint ScreenGeometry::to_guest(QPointF device) const {
    if (m_picture.isEmpty()) {
        return {};
    }
    const auto along = [](double at, int picture, int guest) {
        return std::clamp(static_cast<int>(std::floor(at * guest / picture)), 0, guest - 1);
    };
    return {along(device.x() - m_picture.left(), m_picture.width(), m_guest.width()),
            along(device.y() - m_picture.top(), m_picture.height(), m_guest.height())};
}

QRect ScreenGeometry::to_device(const QRect& guest) const {
    if (pixel_exact()) {
        return guest.translated(m_picture.topLeft());
    }
    // A smooth scaling mixes a pixel with its neighbours.
    const QRect mixed = guest.adjusted(-1, -1, 1, 1);
    const double across = double(m_picture.width()) / m_guest.width();
    const double down = double(m_picture.height()) / m_guest.height();
    const QPointF first(m_picture.left() + mixed.left() * across, m_picture.top() + mixed.top() * down);
    const QPointF end(m_picture.left() + (mixed.right() + 1) * across, m_picture.top() + (mixed.bottom() + 1) * down);
    return QRectF(first, end).toAlignedRect() & m_picture;
}

}  // namespace skep::ui
