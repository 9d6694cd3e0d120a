// SPDX-License-Identifier: GPL-3.0-or-later
// Watches the frames that go by: names that DNS answers (RFC 1035), connections and their bytes. Bounded in every way.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "devices/net/nat_report.hpp"

namespace skep {

class NetGlass {
  public:
    void from_guest(std::span<const uint8_t> frame) { note(frame, Direction::out); }
    void to_guest(std::span<const uint8_t> frame) { note(frame, Direction::in); }
    [[nodiscard]] NatReport report() const;
    // Whether anything was noted since the last call.
    [[nodiscard]] bool take_changed() { return std::exchange(m_changed, false); }

  private:
    enum class Direction { out, in };
    struct Key {
        uint8_t protocol = 0;  // of IP
        uint8_t address_bytes = 0;
        std::array<uint8_t, 16> guest{};
        std::array<uint8_t, 16> remote{};
        uint16_t guest_port = 0;
        uint16_t remote_port = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Flow {
        uint64_t sent = 0;
        uint64_t received = 0;
        uint64_t last = 0;  // its place in the order of all frames
        bool closed = false;
    };
    struct Name {
        std::string addresses;
        uint64_t count = 0;
        uint64_t last = 0;
    };

    void note(std::span<const uint8_t> frame, Direction direction);
    void note_answer(std::span<const uint8_t> message);

    std::map<Key, Flow> m_flows;
    std::map<std::string, Name> m_names;
    uint64_t m_time = 0;
    uint64_t m_ever = 0;
    bool m_changed = false;
};

}  // namespace skep
