// SPDX-License-Identifier: GPL-3.0-or-later
// Hardware task switches (SDM 3A ch. 7), and what of the TSS other transfers read.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/interp/segments.hpp"

namespace skep::interp {

enum class TaskSwitchCause : uint8_t { jump, call, iret, interrupt };

// Switches to the task whose TSS descriptor the caller has checked (type, privilege, present). `return_rip` goes into the
// old TSS. `error_code` is pushed on the new stack. `external`: the EXT bit of error codes. Faults before the new state is
// loaded leave the old task; later ones belong to the new task (core.rip is then the new task's).
struct TaskSwitch {
    uint16_t selector = 0;
    DescriptorPlace place;
    TaskSwitchCause cause = TaskSwitchCause::jump;
    uint64_t return_rip = 0;
    uint32_t external = 0;
    std::optional<uint32_t> error_code;
};
void switch_task(Core& core, const TaskSwitch& wanted);
// IRET with NT set: back to the task in the link field of the current TSS.
void return_to_previous_task(Core& core);
// A task gate in the IDT or reached by a far JMP/CALL: checks the TSS selector in it, then switches.
void switch_through_task_gate(Core& core, x86::Descriptor gate, TaskSwitch wanted);

// The stack for `cpl` from the current TSS (16- or 32-bit format, by its type). Throws #TS(TR) when outside its limit.
struct InnerStack {
    uint16_t selector = 0;
    uint64_t pointer = 0;
};
[[nodiscard]] InnerStack inner_stack(Core& core, unsigned cpl, uint32_t external);
// 64-bit TSS: RSP0..2 for cpl, or IST1..7.
[[nodiscard]] uint64_t inner_stack64(Core& core, unsigned cpl, uint32_t external);
[[nodiscard]] uint64_t interrupt_stack64(Core& core, unsigned ist, uint32_t external);
// Checks and reads the SS of an inner stack for code that will run at `cpl`; throws #TS or #SS. Sets its accessed bit.
[[nodiscard]] Segment load_inner_stack_segment(Core& core, uint16_t selector, unsigned cpl, uint32_t external);

}  // namespace skep::interp
