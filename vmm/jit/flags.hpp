// SPDX-License-Identifier: GPL-3.0-or-later
// Which of the six arithmetic flags an instruction reads and writes, as masks of RFLAGS bits.
#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>

#include "vmm/jit/tuning.hpp"

namespace skep::jit {

struct FlagUse {
    uint16_t reads = 0;
    uint16_t kills = 0;   // certainly gets new values (undefined ones count)
    uint16_t writes = 0;  // may get new values: more than kills for shifts by a count that may be 0
};
[[nodiscard]] FlagUse flag_use(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                               FlagsOfProducts products);

inline constexpr uint16_t k_all_flags = 0x8d5;

}  // namespace skep::jit
