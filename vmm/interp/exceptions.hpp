// SPDX-License-Identifier: GPL-3.0-or-later
// Interrupts and exceptions: delivery in every mode, and what is looked at between instructions (SDM 3A ch. 6).
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// Delivers a fault raised by the instruction at core.rip. Faults met on the way become #DF, and a fault while
// delivering #DF sets core.activity = shutdown. Never throws.
void deliver_exception(Core& core, const Fault& fault);
// What the run loop does with a Fault of the instruction at core.rip, thrown or not: ends its shadows and its debug traps,
// and delivers it. For code that met the fault by a try_... function. Never throws.
void take_fault(Core& core, const Fault& fault) noexcept;
// Delivers an external interrupt (already acknowledged); wakes a halted processor. Never throws.
void deliver_interrupt(Core& core, uint8_t vector);
void deliver_nmi(Core& core);

// A debug trap of the instruction that has just completed (single step, data breakpoint, task switch): sets the
// DR6 bits and delivers #DB with core.rip as the next instruction. Never throws.
void deliver_debug_trap(Core& core, uint64_t dr6_bits);

// INT n, INT3, INTO, INT1 from the guest's code: may throw what the instruction itself raises (#GP for IOPL in V86).
enum class SoftwareInterrupt : uint8_t { int_n, int3, into, int1 };
void software_interrupt(Core& core, uint8_t vector, SoftwareInterrupt kind);

// Between blocks, when something may be pending (a request bit, core.pending_debug, NMI, interrupt_maybe, a shadow):
// delivers what is due in the order of SDM 3A table 6-2. The run loop adds DR6.BS to core.pending_debug after an
// instruction that began with EFLAGS.TF set, and clears the interrupt shadows after the instruction they cover.
// True if the flow of control or the activity changed. Never throws.
bool poll_events(Core& core);
// Must the run loop leave after every instruction (TF, a shadow, RF, armed breakpoints)?
[[nodiscard]] bool needs_single_steps(const Core& core);

}  // namespace skep::interp
