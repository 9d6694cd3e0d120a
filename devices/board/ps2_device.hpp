// SPDX-License-Identifier: GPL-3.0-or-later
// What sits at the end of a PS/2 cable, as the keyboard controller sees it. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>

#include "vmm/device/state_io.hpp"

namespace skep {

// Bytes on their way to the host: answers to commands overtake what the user did.
class Ps2Output {
  public:
    static constexpr size_t k_limit = 256;  // what a user can be ahead of the guest

    void clear() {
        m_answers.clear();
        m_events.clear();
        m_last = 0;
    }
    void clear_events() { m_events.clear(); }
    void answer(std::initializer_list<uint8_t> bytes) {
        if (m_answers.size() + bytes.size() <= k_limit) {
            m_answers.insert(m_answers.end(), bytes);
        }
    }
    // All of the bytes or, when there is no room, none.
    bool event(std::span<const uint8_t> bytes) {
        if (m_events.size() + bytes.size() > k_limit) {
            return false;
        }
        m_events.insert(m_events.end(), bytes.begin(), bytes.end());
        return true;
    }
    [[nodiscard]] bool has_data() const { return !m_answers.empty() || !m_events.empty(); }
    [[nodiscard]] size_t waiting_events() const { return m_events.size(); }
    uint8_t take() {
        std::deque<uint8_t>& from = m_answers.empty() ? m_events : m_answers;
        if (from.empty()) {
            return 0;
        }
        m_last = from.front();
        from.pop_front();
        return m_last;
    }
    // What RESEND asks for.
    [[nodiscard]] uint8_t last() const { return m_last; }
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    std::deque<uint8_t> m_answers;
    std::deque<uint8_t> m_events;
    uint8_t m_last = 0;
};

class Ps2Device {
  public:
    virtual ~Ps2Device() = default;
    virtual void reset() = 0;                // power-on, without the self test's answer
    virtual void receive(uint8_t byte) = 0;  // from the host: a command or its argument
    [[nodiscard]] bool has_data() const { return m_output.has_data(); }
    uint8_t take() { return m_output.take(); }
    virtual void save(StateWriter& writer) const = 0;
    virtual void load(StateReader& reader) = 0;

  protected:
    static constexpr uint8_t k_ack = 0xfa;
    static constexpr uint8_t k_resend = 0xfe;
    static constexpr uint8_t k_self_test_passed = 0xaa;
    Ps2Output m_output;
};

}  // namespace skep
