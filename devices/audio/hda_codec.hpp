// SPDX-License-Identifier: GPL-3.0-or-later
// The codec behind the HD audio controller: one stereo converter to a line-out jack, one from a microphone jack, both
// with amplifiers (Intel High Definition Audio specification 1.0a, chapter 7). Left out: jack detection (the pins say
// so), so that it never responds unsolicited.
//
//   [2 DAC, amplifier] -> [3 line out]        [5 microphone] -> [4 ADC, amplifier]        1: their function group
#pragma once

#include <array>
#include <cstdint>

#include "vmm/device/state_io.hpp"

namespace skep {

// Which stream of the link a converter takes part in, and how loud.
struct HdaTap {
    uint8_t tag = 0;      // 0: none
    uint8_t channel = 0;  // the first of two
    float left = 0;       // factors; 0 while muted, powered down or with the pin disabled
    float right = 0;
};

class HdaCodec {
  public:
    static constexpr unsigned k_address = 0;  // on the link

    HdaCodec() { reset(); }
    // What the link's reset does.
    void reset();
    // verb: bits 27:0 of a command, that is node, verb and payload. Unknown ones are answered by zero (7.1.2).
    uint32_t execute(uint32_t verb);
    [[nodiscard]] HdaTap playing() const;
    [[nodiscard]] HdaTap recording() const;

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    static constexpr unsigned k_node_count = 6;
    // What a node keeps, of which each kind uses its part.
    struct Node {
        uint16_t format = 0;
        uint8_t stream_channel = 0;  // stream tag in the upper half
        std::array<uint8_t, 2> amplifier{};  // left, right: mute and gain, as the verbs say them
        uint8_t pin_control = 0;
        uint8_t power = 0;
        uint32_t configuration = 0;
    };

    void reset_function();
    [[nodiscard]] uint32_t get(unsigned node, uint32_t verb, uint32_t payload) const;
    [[nodiscard]] uint32_t connection_list(unsigned node, uint32_t first) const;
    void set(unsigned node, uint32_t verb, uint32_t payload);
    void set_amplifier(unsigned node, uint32_t payload);
    [[nodiscard]] HdaTap tap(unsigned converter, unsigned pin, uint32_t pin_enable) const;

    std::array<Node, k_node_count> m_nodes{};
    uint32_t m_subsystem = 0;
};

}  // namespace skep
