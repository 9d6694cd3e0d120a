// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/loops.hpp"

#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

constexpr unsigned k_most_in_loop = 48;  // instructions: longer loops gain little

bool is_plain(const GuestInstruction& one) {
    return !one.interpreted && !one.straddles && !is_system(one.decoded.mnemonic);
}

bool is_splittable(const GuestRegion& region, unsigned index) {
    const GuestBlock& block = region.blocks[index];
    if (block.end != BlockEnd::conditional || block.taken != static_cast<int>(index) || block.count < 2 ||
        block.count > k_most_in_loop) {
        return false;
    }
    for (unsigned i = 0; i < block.count; ++i) {
        if (!is_plain(region.instructions[block.first + i])) {
            return false;
        }
    }
    return last_recipe(region, block) != nullptr;
}

void split(GuestRegion& region, unsigned index) {
    const int later = static_cast<int>(region.blocks.size());
    GuestBlock copy = region.blocks[index];
    copy.first = static_cast<uint16_t>(region.instructions.size());
    copy.taken = later;
    copy.incoming = 2;
    copy.first_round = static_cast<int>(index);
    region.instructions.reserve(region.instructions.size() + copy.count);
    for (unsigned i = 0; i < copy.count; ++i) {
        region.instructions.push_back(region.instructions[region.blocks[index].first + i]);
    }
    region.blocks[index].taken = later;
    region.blocks[index].later_rounds = later;
    if (copy.next != k_outside) {
        ++region.blocks[static_cast<size_t>(copy.next)].incoming;
    }
    region.blocks.push_back(copy);
}

}  // namespace

const GuestInstruction* last_recipe(const GuestRegion& region, const GuestBlock& block) {
    const GuestInstruction* recipe = nullptr;
    for (unsigned i = 0; i + 1U < block.count; ++i) {
        const GuestInstruction& one = region.instructions[block.first + i];
        if (one.flags.writes != 0) {
            recipe = is_recipe(one) ? &one : nullptr;
        } else if (recipe != nullptr && spoils_recipe(one, *recipe)) {
            recipe = nullptr;
        }
    }
    return recipe;
}

void split_loops(GuestRegion& region) {
    const auto count = static_cast<unsigned>(region.blocks.size());
    for (unsigned i = 0; i < count; ++i) {
        if (is_splittable(region, i)) {
            split(region, i);
        }
    }
}

}  // namespace skep::jit
