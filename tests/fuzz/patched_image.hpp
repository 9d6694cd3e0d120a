// SPDX-License-Identifier: GPL-3.0-or-later
// An image that is right but for what the input says: lies in single fields get further than bytes of pure chance.
//
// The input is a row of patches: {place:1, offset:1, length:1, bytes}; a place is one of those that the format has, the
// offset goes on from there in bytes, length is taken modulo 16.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "tests/fuzz/device_language.hpp"

namespace skep::fuzz {

// Puts the image back at its end.
class Patches {
  public:
    Patches(std::vector<uint8_t>& image, std::span<const uint32_t> places, Input& input) : m_image(image) {
        constexpr unsigned k_most = 64;
        for (unsigned i = 0; i < k_most && !input.empty(); ++i) {
            const size_t at = places[input.take<uint8_t>() % places.size()] + input.take<uint8_t>();
            const auto bytes = input.take_bytes(input.take<uint8_t>() % 16);
            for (size_t n = 0; n < bytes.size() && at + n < m_image.size(); ++n) {
                m_before.emplace_back(at + n, m_image[at + n]);
                m_image[at + n] = bytes[n];
            }
        }
    }
    ~Patches() {
        std::for_each(m_before.rbegin(), m_before.rend(), [&](const auto& before) { m_image[before.first] = before.second; });
    }
    Patches(const Patches&) = delete;
    Patches& operator=(const Patches&) = delete;
    // Is anything in these bytes another?
    [[nodiscard]] bool touch(size_t from, size_t end) const {
        return std::ranges::any_of(m_before, [&](const auto& before) { return before.first >= from && before.first < end; });
    }

  private:
    std::vector<uint8_t>& m_image;
    std::vector<std::pair<size_t, uint8_t>> m_before;
};

}  // namespace skep::fuzz
