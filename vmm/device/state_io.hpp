// SPDX-License-Identifier: GPL-3.0-or-later
// Saved device state: versioned sections of little-endian values. What is read back is untrusted input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

class StateWriter {
  public:
    // Opens a section; everything until the next section() belongs to it.
    void section(std::string_view name, uint16_t version);
    template <typename T>
    void put(T value) {
        static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
        const auto wide = static_cast<uint64_t>(value);
        append(&wide, sizeof(T));
    }
    void put_bytes(std::span<const std::byte> data);  // with its length
    void put_string(std::string_view text);
    [[nodiscard]] const std::vector<std::byte>& bytes() const { return m_bytes; }

  private:
    void append(const void* data, size_t size);
    std::vector<std::byte> m_bytes;
};

// After the first mismatch every read gives zeros and ok() is false: devices read everything, then look once.
class StateReader {
  public:
    explicit StateReader(std::span<const std::byte> data) : m_data(data) {}

    // Expects the section with this name; returns its version (1..newest), or 0 and fails.
    uint16_t section(std::string_view name, uint16_t newest_known);
    template <typename T>
    T get() {
        static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
        uint64_t wide = 0;
        take(&wide, sizeof(T));
        return static_cast<T>(wide);
    }
    template <typename T>
    void get(T& to) { to = get<T>(); }
    // Bytes of exactly `size` (0: any size up to 64 MiB).
    std::vector<std::byte> get_bytes(size_t size = 0);
    std::string get_string();
    void fail(std::string why);
    [[nodiscard]] bool ok() const { return m_error.empty(); }
    [[nodiscard]] Status status() const;
    [[nodiscard]] bool at_end() const { return m_position == m_data.size(); }

  private:
    void take(void* to, size_t size);
    std::span<const std::byte> m_data;
    size_t m_position = 0;
    std::string m_section;
    std::string m_error;
};

}  // namespace skep
