// SPDX-License-Identifier: GPL-3.0-or-later
// What keeps fuzzing of displays fast: video memory that is cheap to clear, pictures compared where they are.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "display/surface/surface.hpp"

namespace skep::fuzz {

// A display gives its memory back to the host at each reset, which is 64 page faults an input. Of memory without a file
// behind it there is nothing to give back: the display fills it with zeros.
inline void make_cheap_to_clear(std::span<std::byte> vram) {
    if (mmap(vram.data(), vram.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        __builtin_trap();
    }
}

// A blank screen is as large as the one before, which somebody who comes later has not seen: two black ones are the same.
inline bool same_picture(const Surface& one, const Surface& other) {
    if (one.size() == other.size()) {
        return std::memcmp(one.pixels(), other.pixels(), one.bytes()) == 0;
    }
    const auto black = [](const Surface& surface) {
        return std::all_of(surface.pixels(), surface.pixels() + surface.bytes() / 4, [](uint32_t pixel) { return pixel == 0; });
    };
    return black(one) && black(other);
}

}  // namespace skep::fuzz
