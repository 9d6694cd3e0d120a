// SPDX-License-Identifier: GPL-3.0-or-later
// Breakpoints of DR0-DR3 under DR7 (SDM 3B, 17.2). Pages with a data breakpoint stay out of the TLB, so that the fast
// paths never meet one; a processor with any enabled breakpoint runs instruction by instruction (needs_single_steps).
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"

namespace skep::interp {

// DR7.R/Wn.
enum class BreakpointKind : uint8_t { execute = 0, write = 1, port = 2, access = 3 };

inline bool has_breakpoints(const Core& core) { return (core.dr7 & 0xff) != 0; }
[[nodiscard]] bool code_breakpoint_armed(const Core& core);
// Does a data breakpoint lie on this page (linear address)?
[[nodiscard]] bool page_is_watched(const Core& core, uint64_t page);

// Before an instruction is fetched: raises #DB, with DR6 set, if a breakpoint says so and neither EFLAGS.RF nor a MOV SS
// holds it back.
void check_code_breakpoints(Core& core, uint64_t linear);
// After an access: the trap comes when the instruction is through (Core::pending_debug).
void note_watched_access(Core& core, uint64_t linear, uint64_t size, Access access);
void note_watched_port(Core& core, uint16_t port, unsigned size);

inline void note_data_access(Core& core, uint64_t linear, uint64_t size, Access access) {
    if (has_breakpoints(core)) [[unlikely]] {
        note_watched_access(core, linear, size, access);
    }
}
inline void note_port_access(Core& core, uint16_t port, unsigned size) {
    if (has_breakpoints(core)) [[unlikely]] {
        note_watched_port(core, port, size);
    }
}

}  // namespace skep::interp
