// SPDX-License-Identifier: GPL-3.0-or-later
// Typist: plays keys, text and clicks to the guest at a pace that guests follow, one after the other.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "display/input/input_hub.hpp"
#include "display/input/keysyms.hpp"
#include "vmm/base/event_loop.hpp"

namespace skep {

class Typist {
  public:
    using Milliseconds = std::chrono::milliseconds;
    static constexpr Milliseconds k_hold{60};
    static constexpr size_t k_most_steps = 100'000;  // some twenty thousand characters

    // Both live longer. Loop thread, as everything here.
    Typist(EventLoop& loop, InputHub& hub) : m_loop(loop), m_hub(hub) {}
    ~Typist();  // releases what it holds
    Typist(const Typist&) = delete;
    Typist& operator=(const Typist&) = delete;

    // Each returns how long it takes until all that was asked for is done. Kind invalid_input when too much waits.
    // Keys held together, pressed in this order and released in the other.
    [[nodiscard]] Result<Milliseconds> press(std::span<const KeyCode> chord, Milliseconds hold = k_hold);
    [[nodiscard]] Result<Milliseconds> type(std::span<const KeyStroke> strokes);
    // Moves to a place in guest pixels and clicks there.
    struct Place {
        uint32_t x = 0;
        uint32_t y = 0;
        uint32_t width = 0;  // of the screen
        uint32_t height = 0;
    };
    [[nodiscard]] Result<Milliseconds> click(const Place& place, uint8_t button);
    [[nodiscard]] bool idle() const { return m_steps.empty(); }

  private:
    struct Step {
        KeyCode key = 0;  // 0: the pointer
        bool down = false;
        uint8_t buttons = 0;
        Place place;
        Milliseconds then{0};  // before the next step
    };
    [[nodiscard]] Result<Milliseconds> add(std::vector<Step> steps);
    void play();

    EventLoop& m_loop;
    InputHub& m_hub;
    std::deque<Step> m_steps;
    Milliseconds m_left{0};  // what the steps take together
    std::vector<KeyCode> m_held;
    uint64_t m_timer = 0;  // 0: not playing
};

}  // namespace skep
