// SPDX-License-Identifier: GPL-3.0-or-later
// Loops of a single block come in two versions. The first round is like any other block; what it has found out holds in the
// later ones: vector registers are live, flags can be made again, and memory operands are where they were, or most likely on
// the same page.
#pragma once

#include <cstdint>

namespace skep::jit {

struct GuestRegion;
struct GuestBlock;
struct GuestInstruction;

// The instruction from whose operands the flags at the end of a block can be made again (emit_recipes.cpp); null: none.
[[nodiscard]] const GuestInstruction* last_recipe(const GuestRegion& region, const GuestBlock& block);

// Adds the versions for later rounds, behind the other blocks.
void split_loops(GuestRegion& region);

// Where a span of memory is in the next round. It is only looked at where it must be right: `page` may turn out wrong.
enum class Follow : uint8_t {
    no,     // who knows
    still,  // in the same place
    page,   // most likely on the same page: in a small table
};

}  // namespace skep::jit
