// SPDX-License-Identifier: GPL-3.0-or-later
// A translated region as the translator keeps it, and the instructions in it that the interpreter may have to run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/interp/decode.hpp"

namespace skep::jit {

// A block of a region where code that comes from elsewhere may go on.
struct RegionBlock {
    uint16_t offset = 0;      // in the page
    uint16_t live_flags = 0;  // arithmetic flags that it wants to be right, in Core::status or the host's, or in both
    bool wants_memory_flags = false;
    bool wants_host_flags = false;
    bool is_better_copied = false;  // a few instructions, and who knows where it leads: to jump there is no gain
    uint32_t code = 0;    // distance from Region::entry
};

struct Region {
    const std::byte* host_page = nullptr;
    uint64_t entry = 0;       // executable address
    uint64_t stale_exit = 0;  // code that leaves at the region's entry: where a patched entry jumps
    std::vector<uint64_t> returns;  // executable addresses where the calls in it come back
    uint64_t linear = 0;      // address of the entry when it was made
    uint16_t offset = 0;      // of the entry in the page
    uint32_t key = 0;         // Block::key
    bool has_aliases = false; // was entered at other addresses than `linear`
    bool stale = false;       // its bytes were written
};

struct JumpSite;

struct Site {
    const Region* region = nullptr;
    uint16_t offset = 0;  // in the page
    bool decoded = false;
    bool comes_back = true;         // code follows it in its region, whatever its flow; false: only with Flow::next
    bool straddles = false;         // it ends on the next page:
    JumpSite* next_page = nullptr;  // its page_key says where the bytes there are known to be the ones below; may be null
    interp::Flow flow = interp::Flow::next;
    uint8_t length = 0;
    uint16_t mnemonic = 0;  // ZydisMnemonic
    std::array<std::byte, 15> bytes{};
    std::array<interp::Op, 2> ops{};
};

}  // namespace skep::jit
