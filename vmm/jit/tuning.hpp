// SPDX-License-Identifier: GPL-3.0-or-later
// When code is translated, and how much of it at a time.
#pragma once

#include <cstdint>

namespace skep::jit {

// What belongs to a region, of the code on its page that direct jumps reach.
enum class Reach : uint8_t {
    what_ran,    // most code that could be reached never runs
    everything,  // regions are as large and as entangled as they can be: for tests
};

struct Tuning {
    uint32_t threshold = 32;  // how often a block is interpreted before it is translated
    Reach reach = Reach::what_ran;
};

}  // namespace skep::jit
