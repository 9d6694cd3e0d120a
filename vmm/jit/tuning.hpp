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

// SF, ZF, AF and PF after MUL and IMUL, which the manuals leave undefined.
enum class FlagsOfProducts : uint8_t {
    anything,     // no program asks for them
    as_the_host,  // what the host makes of the guest's flags: for tests, which then find everything equal
};

struct Tuning {
    uint32_t threshold = 128;  // how often a block is interpreted before it is translated
    Reach reach = Reach::what_ran;
    FlagsOfProducts flags_of_products = FlagsOfProducts::anything;
};

}  // namespace skep::jit
