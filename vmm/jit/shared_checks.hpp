// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses of one basic block that lie near each other, at distances known beforehand (a stack frame, the fields of a
// structure, a run of pushes): one look into the TLB for the whole span serves them all.
#pragma once

#include <cstdint>

#include "vmm/jit/loops.hpp"

namespace skep::jit {

// One access of an instruction: of its memory operand, or of the stack (PUSH POP CALL RET LEAVE).
struct SharedUse {
    int8_t check = -1;    // of GuestBlock::checks; -1: it is checked by itself
    uint16_t offset = 0;  // from the lowest byte of the span

    [[nodiscard]] bool any() const { return check >= 0; }
    bool operator==(const SharedUse&) const = default;
};

struct SharedCheck {
    uint16_t size = 0;    // bytes of the span
    bool writes = false;  // one of them does
    uint8_t uses = 0;
    Follow follow = Follow::no;

    bool operator==(const SharedCheck&) const = default;
};

inline constexpr unsigned k_most_checks = 16;  // of a block
inline constexpr unsigned k_most_span = 256;   // bytes

struct GuestRegion;

// Fills GuestInstruction::operand_use and stack_use, and GuestBlock::checks.
void find_shared_checks(GuestRegion& region);

}  // namespace skep::jit
