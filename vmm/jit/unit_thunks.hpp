// SPDX-License-Identifier: GPL-3.0-or-later
// Waking the units and putting them to sleep: the parts of the shared code that move their registers (units.hpp).
#pragma once

#include <asmjit/x86.h>

#include "vmm/jit/emitter.hpp"

namespace skep::jit {

// From the host's registers to Core::xsave; the host's MXCSR is its own again. Leaves general registers and flags alone.
void emit_vectors_to_sleep(asmjit::x86::Assembler& a, const Places& places);
// The other way, if the guest may use them now: see Runtime::vectors_asleep. Clobbers rax and flags.
void emit_wake_vectors(asmjit::x86::Assembler& a, const Places& places);

// The same for the x87 unit: the host's is as FNINIT leaves it while the guest's sleeps. Both leave rdx alone.
void emit_x87_to_sleep(asmjit::x86::Assembler& a, const Places& places);
void emit_wake_x87(asmjit::x86::Assembler& a, const Places& places);

}  // namespace skep::jit
