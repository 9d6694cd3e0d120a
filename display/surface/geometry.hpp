// SPDX-License-Identifier: GPL-3.0-or-later
// Sizes and rectangles of a guest screen, in guest pixels, and a bounded set of damaged rectangles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace skep {

// The largest screen any device may show: 64 MiB of pixels.
inline constexpr uint32_t k_max_screen_width = 8192;
inline constexpr uint32_t k_max_screen_height = 8192;
inline constexpr uint64_t k_max_screen_pixels = 16 * 1024 * 1024;

struct ScreenSize {
    uint32_t width = 0;
    uint32_t height = 0;
    bool operator==(const ScreenSize&) const = default;
    [[nodiscard]] bool acceptable() const {
        return width > 0 && height > 0 && width <= k_max_screen_width && height <= k_max_screen_height &&
               uint64_t{width} * height <= k_max_screen_pixels;
    }
};

// Left and top edges are inside, right and bottom edges outside.
struct ScreenRect {
    uint32_t left = 0;
    uint32_t top = 0;
    uint32_t right = 0;
    uint32_t bottom = 0;
    bool operator==(const ScreenRect&) const = default;
    [[nodiscard]] bool empty() const { return left >= right || top >= bottom; }
    [[nodiscard]] ScreenRect within(ScreenSize size) const;
    [[nodiscard]] ScreenRect joined(const ScreenRect& other) const;  // the smallest that holds both
    [[nodiscard]] uint64_t area() const { return empty() ? 0 : uint64_t{right - left} * (bottom - top); }
};

// What has changed. Holds at most k_most rectangles: beyond that those whose joining adds the least area are joined,
// so that a guest that draws a million dots costs no more than one that draws a screen.
class Damage {
  public:
    static constexpr size_t k_most = 32;

    void add(const ScreenRect& rect);
    void add(const Damage& other);
    void clear() { m_rects.clear(); }
    [[nodiscard]] bool empty() const { return m_rects.empty(); }
    [[nodiscard]] std::span<const ScreenRect> rects() const { return m_rects; }

  private:
    void join_nearest();

    std::vector<ScreenRect> m_rects;
};

}  // namespace skep
