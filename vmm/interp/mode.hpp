// SPDX-License-Identifier: GPL-3.0-or-later
// The processor's mode: what follows from CR0, CR3, CR4, EFER, EFLAGS and the segment registers (SDM 3A ch. 2, 4, 9).
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// Recomputes everything that Core says is derived. Cheap enough for every change of CPL.
void update_mode(Core& core);
// The same when no more than the privilege has changed: CS and SS were loaded, in 64-bit mode before and after.
void update_privilege(Core& core);
// After the whole state was put into core (load, reset, INIT, SIPI): PDPTEs, TLB, mode.
void state_loaded(Core& core);

// MOV to control registers with all their checks; they throw #GP(0).
void write_cr0(Core& core, uint64_t value);
void write_cr3(Core& core, uint64_t value);
void write_cr4(Core& core, uint64_t value);
void write_efer(Core& core, uint64_t value);
void write_xcr0(Core& core, uint64_t value);

// Replaces the RFLAGS bits in `mask` and does what hangs on VM and AC (update_mode). RF is
// kept only while an instruction breakpoint is armed: nothing else can tell.
void load_rflags(Core& core, uint64_t value, uint64_t mask);

}  // namespace skep::interp
