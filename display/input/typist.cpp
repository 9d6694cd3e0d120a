// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/typist.hpp"

#include <linux/input-event-codes.h>

namespace skep {
namespace {

using Milliseconds = Typist::Milliseconds;

// A guest polls its keyboard at a hundred times a second at worst.
constexpr Milliseconds k_stroke{12};
constexpr Milliseconds k_between_keys{4};
constexpr Milliseconds k_after_chord{30};
constexpr Milliseconds k_after_move{40};  // a desktop looks up what is under the pointer first
constexpr Milliseconds k_after_click{40};

}  // namespace

Typist::~Typist() {
    if (m_timer != 0) {
        m_loop.cancel_after(m_timer);
    }
    for (const KeyCode key : m_held) {
        m_hub.key(key, false);
    }
}

Result<Milliseconds> Typist::press(std::span<const KeyCode> chord, Milliseconds hold) {
    std::vector<Step> steps;
    for (const KeyCode key : chord) {
        steps.push_back({.key = key, .down = true, .place = {}, .then = k_between_keys});
    }
    if (!steps.empty()) {
        steps.back().then = hold;
    }
    for (auto key = chord.rbegin(); key != chord.rend(); ++key) {
        steps.push_back({.key = *key, .down = false, .place = {}, .then = k_between_keys});
    }
    if (!steps.empty()) {
        steps.back().then = k_after_chord;
    }
    return add(std::move(steps));
}

Result<Milliseconds> Typist::type(std::span<const KeyStroke> strokes) {
    std::vector<Step> steps;
    bool shift = false;
    const auto set_shift = [&](bool wanted) {
        if (wanted != shift) {
            steps.push_back({.key = KEY_LEFTSHIFT, .down = wanted, .place = {}, .then = k_between_keys});
            shift = wanted;
        }
    };
    for (const KeyStroke& stroke : strokes) {
        set_shift(stroke.shift);
        steps.push_back({.key = stroke.key, .down = true, .place = {}, .then = k_stroke});
        steps.push_back({.key = stroke.key, .down = false, .place = {}, .then = k_stroke});
    }
    set_shift(false);
    return add(std::move(steps));
}

Result<Milliseconds> Typist::click(const Place& place, uint8_t button) {
    return add({{.place = place, .then = k_after_move},
                {.buttons = button, .place = place, .then = k_hold},
                {.place = place, .then = k_after_click}});
}

Result<Milliseconds> Typist::add(std::vector<Step> steps) {
    if (m_steps.size() + steps.size() > k_most_steps) {
        return fail(ErrorKind::invalid_input, "That is too much to type at once; {} keys and clicks wait already.", m_steps.size());
    }
    for (const Step& step : steps) {
        m_left += step.then;
    }
    m_steps.insert(m_steps.end(), steps.begin(), steps.end());
    if (m_timer == 0) {
        play();
    }
    return m_left;
}

void Typist::play() {
    m_timer = 0;
    if (m_steps.empty()) {
        return;
    }
    const Step step = m_steps.front();
    m_steps.pop_front();
    m_left -= step.then;
    if (step.key == 0) {
        m_hub.move_to(step.place.x, step.place.y, step.place.width, step.place.height, step.buttons);
    } else {
        m_hub.key(step.key, step.down);
        std::erase(m_held, step.key);
        if (step.down) {
            m_held.push_back(step.key);
        }
    }
    m_timer = m_loop.after(step.then, [this] { play(); });
}

}  // namespace skep
