// SPDX-License-Identifier: GPL-3.0-or-later
// What is translated on one page of the guest's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "vmm/jit/site.hpp"

namespace skep::jit {

// An offset in a page, for code of one mode (Block::key).
using CodePlace = uint32_t;
constexpr CodePlace code_place(uint32_t offset, uint32_t key) { return offset | key << 16; }

struct PageCode {
    // Where code that comes from elsewhere may go on inside a region.
    struct Inside {
        const Region* region = nullptr;
        RegionBlock block;
    };
    std::unordered_map<CodePlace, Region*> regions;
    std::unordered_map<CodePlace, Inside> blocks;
    std::unordered_map<CodePlace, std::vector<uint64_t>> waiting;  // links (executable addresses) to what is not there yet
    std::vector<JumpSite*> straddlers;                             // instructions of the page before that end here
};

}  // namespace skep::jit
