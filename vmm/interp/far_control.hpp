// SPDX-License-Identifier: GPL-3.0-or-later
// Far control transfers: JMP, CALL, RET, IRET through segments, gates, rings and modes; SYSCALL and SYSENTER and their
// ways back (SDM 2, the instructions; SDM 3A, 5.8). Called from PlainHandlers: core.rip is the instruction's,
// core.next_rip what follows it and, on return, where to go on. They throw with nothing changed.
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// operand_size: 2, 4, 8 bytes.
void far_jump(Core& core, uint16_t selector, uint64_t offset, unsigned operand_size);
void far_call(Core& core, uint16_t selector, uint64_t offset, unsigned operand_size);
void far_return(Core& core, unsigned operand_size, uint16_t released_bytes);
void interrupt_return(Core& core, unsigned operand_size);

void syscall(Core& core);
void sysret(Core& core, unsigned operand_size);
void sysenter(Core& core);
void sysexit(Core& core, unsigned operand_size);

}  // namespace skep::interp
