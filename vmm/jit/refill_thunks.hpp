// SPDX-License-Identifier: GPL-3.0-or-later
// Misses of the inlined memory check: the second look, and the way to the MMU.
#pragma once

#include <asmjit/x86.h>

#include <array>

#include "vmm/jit/emitter.hpp"

namespace skep::jit {

// What moves the units' registers (unit_thunks.hpp), as code to call.
struct UnitLabels {
    asmjit::Label wake_vectors, vectors_to_sleep, wake_x87, x87_to_sleep;
};

using RefillLabels = std::array<std::array<asmjit::Label, k_most_refilled + 1>, k_refill_kinds>;
// Emits Thunks::refill.
RefillLabels emit_refills(asmjit::x86::Assembler& a, const Places& places, const UnitLabels& units);

}  // namespace skep::jit
