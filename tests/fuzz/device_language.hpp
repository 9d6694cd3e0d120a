// SPDX-License-Identifier: GPL-3.0-or-later
// The little language that fuzz input speaks to a device: register accesses, guest RAM contents, resets, time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace skep::fuzz {

// Takes values off the input; zeros after its end.
class Input {
  public:
    Input(const uint8_t* data, size_t size) : m_data(data, size) {}
    [[nodiscard]] bool empty() const { return m_data.empty(); }
    template <typename T>
    T take() {
        T value{};
        const size_t size = sizeof(T) < m_data.size() ? sizeof(T) : m_data.size();
        std::memcpy(&value, m_data.data(), size);
        m_data = m_data.subspan(size);
        return value;
    }
    std::span<const uint8_t> take_bytes(size_t most) {
        const size_t size = most < m_data.size() ? most : m_data.size();
        const auto piece = m_data.first(size);
        m_data = m_data.subspan(size);
        return piece;
    }

  private:
    std::span<const uint8_t> m_data;
};

}  // namespace skep::fuzz
