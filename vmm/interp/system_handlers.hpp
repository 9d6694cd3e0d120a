// SPDX-License-Identifier: GPL-3.0-or-later
// The system instructions, each a PlainHandler, by the file they live in. build_system_op() chooses among them.
#pragma once

#include "vmm/interp/core.hpp"

namespace skep::interp::system {

// system_control.cpp: control and debug registers, descriptor-table registers, TLB and caches.
void read_control_register(Core& core, const Op& op);   // op.extra: its number; op.rm: the general register
void write_control_register(Core& core, const Op& op);
void read_debug_register(Core& core, const Op& op);
void write_debug_register(Core& core, const Op& op);
void load_gdt(Core& core, const Op& op);                // op.operand_size: 2, 4 or 8
void load_idt(Core& core, const Op& op);
void store_gdt(Core& core, const Op& op);
void store_idt(Core& core, const Op& op);
void store_machine_status(Core& core, const Op& op);
void load_machine_status(Core& core, const Op& op);
void clear_task_switched(Core& core, const Op& op);
void invalidate_page(Core& core, const Op& op);
void invalidate_pcid(Core& core, const Op& op);
void write_back_caches(Core& core, const Op& op);

// system_segments.cpp: segment registers and what asks about selectors.
void store_segment(Core& core, const Op& op);           // op.extra: SegmentRegister
void load_segment_register(Core& core, const Op& op);
void push_segment(Core& core, const Op& op);
void pop_segment(Core& core, const Op& op);
void load_far_pointer(Core& core, const Op& op);
void store_ldt(Core& core, const Op& op);
void store_task_register(Core& core, const Op& op);
void load_ldt_register(Core& core, const Op& op);
void load_task(Core& core, const Op& op);
void load_access_rights(Core& core, const Op& op);
void load_limit(Core& core, const Op& op);
void verify_read(Core& core, const Op& op);
void verify_write(Core& core, const Op& op);
void adjust_rpl(Core& core, const Op& op);
void read_fs_gs_base(Core& core, const Op& op);         // op.extra: k_fs or k_gs
void write_fs_gs_base(Core& core, const Op& op);
void swap_gs(Core& core, const Op& op);

// system_flags.cpp: RFLAGS and the activity.
void clear_interrupts(Core& core, const Op& op);
void set_interrupts(Core& core, const Op& op);
void push_flags(Core& core, const Op& op);
void pop_flags(Core& core, const Op& op);
void clear_ac(Core& core, const Op& op);
void set_ac(Core& core, const Op& op);
void halt(Core& core, const Op& op);

// system_msr.cpp: what the processor says of itself, MSRs, TSC, XCR0.
void processor_id(Core& core, const Op& op);
void read_msr(Core& core, const Op& op);
void write_msr(Core& core, const Op& op);
void read_tsc(Core& core, const Op& op);
void read_tsc_and_aux(Core& core, const Op& op);
void read_aux(Core& core, const Op& op);
void read_performance_counter(Core& core, const Op& op);
void get_xcr(Core& core, const Op& op);
void set_xcr(Core& core, const Op& op);

// system_branches.cpp: far control and software interrupts.
void jump_far_direct(Core& core, const Op& op);         // op.extra: selector, op.immediate: offset
void jump_far_indirect(Core& core, const Op& op);
void call_far_direct(Core& core, const Op& op);
void call_far_indirect(Core& core, const Op& op);
void return_far(Core& core, const Op& op);
void return_from_interrupt(Core& core, const Op& op);
void interrupt_n(Core& core, const Op& op);
void interrupt_3(Core& core, const Op& op);
void interrupt_1(Core& core, const Op& op);
void interrupt_on_overflow(Core& core, const Op& op);
void enter_by_syscall(Core& core, const Op& op);
void leave_by_sysret(Core& core, const Op& op);
void enter_by_sysenter(Core& core, const Op& op);
void leave_by_sysexit(Core& core, const Op& op);

// Throws #GP(0) unless CPL is 0.
inline void require_ring0(const Core& core) {
    if (core.cpl != 0) {
        raise(k_gp, 0);
    }
}

}  // namespace skep::interp::system
