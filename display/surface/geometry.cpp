// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/surface/geometry.hpp"

#include <algorithm>
#include <limits>

namespace skep {

ScreenRect ScreenRect::within(ScreenSize size) const {
    return {std::min(left, size.width), std::min(top, size.height), std::min(right, size.width),
            std::min(bottom, size.height)};
}

ScreenRect ScreenRect::joined(const ScreenRect& other) const {
    if (empty()) {
        return other;
    }
    if (other.empty()) {
        return *this;
    }
    return {std::min(left, other.left), std::min(top, other.top), std::max(right, other.right),
            std::max(bottom, other.bottom)};
}

void Damage::add(const ScreenRect& rect) {
    if (rect.empty()) {
        return;
    }
    ScreenRect grown = rect;
    // Swallow whatever the new rectangle can be joined with for nothing: neighbours of one height or width, and
    // overlaps.
    for (size_t i = 0; i < m_rects.size();) {
        const ScreenRect joint = grown.joined(m_rects[i]);
        if (joint.area() <= grown.area() + m_rects[i].area()) {
            grown = joint;
            m_rects[i] = m_rects.back();
            m_rects.pop_back();
            i = 0;
        } else {
            ++i;
        }
    }
    m_rects.push_back(grown);
    if (m_rects.size() > k_most) {
        join_nearest();
    }
}

void Damage::add(const Damage& other) {
    for (const ScreenRect& rect : other.m_rects) {
        add(rect);
    }
}

void Damage::join_nearest() {
    const ScreenRect last = m_rects.back();
    m_rects.pop_back();
    size_t best = 0;
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (size_t i = 0; i < m_rects.size(); ++i) {
        const uint64_t added = last.joined(m_rects[i]).area() - m_rects[i].area();
        if (added < least) {
            least = added;
            best = i;
        }
    }
    m_rects[best] = m_rects[best].joined(last);
}

}  // namespace skep
