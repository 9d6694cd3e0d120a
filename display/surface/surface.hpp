// SPDX-License-Identifier: GPL-3.0-or-later
// Surface: the pixels of a guest screen as viewers see them, in shared memory that cannot shrink under a reader.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "display/surface/geometry.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// 32 bits a pixel, 0x00RRGGBB in host order (the top byte is 0), rows without gaps. The size never changes: a new
// mode is a new surface, so that a viewer that still holds the old one reads old pixels, never beyond the end.
class Surface {
  public:
    // Fails with no_space. size must be acceptable(). Black.
    static Result<std::shared_ptr<Surface>> create(ScreenSize size);
    ~Surface();
    Surface(const Surface&) = delete;
    Surface& operator=(const Surface&) = delete;

    [[nodiscard]] ScreenSize size() const { return m_size; }
    [[nodiscard]] std::span<uint32_t> row(uint32_t y) { return {m_pixels + size_t{y} * m_size.width, m_size.width}; }
    [[nodiscard]] std::span<const uint32_t> row(uint32_t y) const {
        return {m_pixels + size_t{y} * m_size.width, m_size.width};
    }
    [[nodiscard]] uint32_t* pixels() { return m_pixels; }
    [[nodiscard]] const uint32_t* pixels() const { return m_pixels; }
    [[nodiscard]] uint64_t bytes() const { return uint64_t{m_size.width} * m_size.height * sizeof(uint32_t); }
    [[nodiscard]] int fd() const { return m_fd.get(); }  // a memfd sealed against shrinking and growing

  private:
    Surface() = default;

    ScreenSize m_size;
    Fd m_fd;
    uint32_t* m_pixels = nullptr;
};

}  // namespace skep
