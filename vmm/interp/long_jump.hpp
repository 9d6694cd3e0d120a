// SPDX-License-Identifier: GPL-3.0-or-later
// Jcc in 64-bit mode (SDM 2A), alone and behind a compare.
#pragma once

#include "vmm/interp/flags.hpp"

namespace skep::interp {

// Sets Core::rip to where the Jcc `op` leads. The target needs no check but at the canonical edge, which the fetch finds.
template <unsigned code>
inline void jump_if(Core& core, const Op* op) {
    const uint64_t way = condition_holds<code>(core.status) ? op->immediate : op->extra;
    core.rip = core.gpr[17] + way;
}

}  // namespace skep::interp
