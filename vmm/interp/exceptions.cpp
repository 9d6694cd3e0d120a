// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/exceptions.hpp"

#include "vmm/interp/far_control.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/segments.hpp"
#include "vmm/interp/system_stack.hpp"
#include "vmm/interp/task_switch.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

namespace {

struct Event {
    uint8_t vector = 0;
    std::optional<uint32_t> error_code;
    uint64_t return_rip = 0;
    uint32_t external = 1;         // EXT bit of error codes met on the way: 0 for INT n, INT3, INTO
    bool checks_gate_dpl = false;  // the same three
    bool sets_resume_flag = false; // RF in the pushed flags
    bool is_exception = false;     // counts for double faults
};

constexpr uint32_t gate_error(const Event& event) { return event.vector * 8U + 2 + event.external; }

uint64_t pushed_rflags(const Core& core, const Event& event) {
    return read_rflags(core) | (event.sets_resume_flag ? x86::k_flag_rf : 0);
}

void enter_handler(Core& core, uint64_t rip, uint64_t cleared_flags) {
    core.rip = core.next_rip = rip;
    load_rflags(core, 0, cleared_flags | x86::k_flag_tf | x86::k_flag_rf | x86::k_flag_vm | x86::k_flag_nt);
}

// --- real mode (SDM 3B, 20.1.4) --------------------------------------------------------------------------------------
void deliver_real(Core& core, const Event& event) {
    const uint32_t entry = event.vector * 4U;
    if (entry + 3 > core.idtr.limit) {
        raise(k_gp, 0);
    }
    const uint64_t target = read_linear(core, (core.idtr.base + entry) & 0xffff'ffff, 4, k_as_supervisor);
    FrameStack stack(core);
    stack.check_room(6);
    stack.push(2, pushed_rflags(core, event) & 0xffff);
    stack.push(2, core.segment[k_cs].selector);
    stack.push(2, event.return_rip & 0xffff);
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    core.segment[k_cs].selector = static_cast<uint16_t>(target >> 16);
    core.segment[k_cs].base = (target >> 16) << 4;
    core.rip = core.next_rip = target & 0xffff;
    load_rflags(core, 0, x86::k_flag_if | x86::k_flag_tf | x86::k_flag_ac | x86::k_flag_rf);
    update_mode(core);
}

// --- protected and IA-32e mode (SDM 3A, 6.12 and 6.14; SDM 2A, INT) ----------------------------------------------------
struct Gate {
    Descriptor low;
    uint64_t offset = 0;
    bool wide = false;          // 32-bit (or 64-bit) frame
    bool clears_if = false;     // interrupt gate
};

Gate read_gate(Core& core, const Event& event) {
    const unsigned size = core.long_mode_active ? 16 : 8;
    const uint64_t entry = uint64_t{event.vector} * size;
    if (entry + size - 1 > core.idtr.limit) {
        raise(k_gp, gate_error(event));
    }
    Gate gate;
    gate.low.raw = read_linear(core, core.idtr.base + entry, 8, k_as_supervisor);
    gate.offset = gate.low.gate_offset();
    const unsigned type = gate.low.is_code_or_data() ? 0 : gate.low.type();
    const bool wide = type == k_interrupt_gate32 || type == k_trap_gate32;
    const bool narrow = type == k_interrupt_gate16 || type == k_trap_gate16 || type == k_task_gate;
    if (!wide && (core.long_mode_active || !narrow)) {
        raise(k_gp, gate_error(event));
    }
    if (event.checks_gate_dpl && gate.low.dpl() < core.cpl) {
        raise(k_gp, gate_error(event));
    }
    if (!gate.low.present()) {
        raise(k_np, gate_error(event));
    }
    if (core.long_mode_active) {
        gate.offset |= read_linear(core, core.idtr.base + entry + 8, 4, k_as_supervisor) << 32;
    } else if (!wide) {
        gate.offset &= 0xffff;
    }
    gate.wide = wide;
    gate.clears_if = type == k_interrupt_gate32 || type == k_interrupt_gate16;
    return gate;
}

// The handler's code segment and the privilege it will run at.
struct Handler {
    DescriptorPlace code;
    uint16_t selector = 0;
    unsigned cpl = 0;
};

Handler read_handler(Core& core, const Gate& gate, const Event& event) {
    const uint16_t selector = gate.low.gate_selector();
    if (selector_is_null(selector)) {
        raise(k_gp, event.external);
    }
    const uint32_t error = selector_error(selector) | event.external;
    const std::optional<DescriptorPlace> code = read_descriptor(core, selector);
    if (!code || !code->descriptor.is_code() || code->descriptor.dpl() > core.cpl) {
        raise(k_gp, error);
    }
    const Descriptor descriptor = code->descriptor;
    if (core.long_mode_active && (!descriptor.long_mode() || descriptor.default_big())) {
        raise(k_gp, error);
    }
    if (!descriptor.present()) {
        raise(k_np, error);
    }
    const unsigned cpl = descriptor.is_conforming_code() ? core.cpl : descriptor.dpl();
    if (core.v86 && cpl != 0) {
        raise(k_gp, error);
    }
    return {*code, selector, cpl};
}

void commit_code_segment(Core& core, Handler& handler) {
    mark_accessed(core, handler.code);
    const auto selector = static_cast<uint16_t>((handler.selector & ~3U) | handler.cpl);
    core.segment[k_cs] = segment_of(selector, handler.code.descriptor);
}

uint64_t cleared_by(const Gate& gate) { return gate.clears_if ? x86::k_flag_if : 0; }

void deliver_long(Core& core, const Event& event, const Gate& gate, Handler& handler) {
    const bool inward = handler.cpl != core.cpl;
    uint64_t pointer = core.gpr[k_rsp];
    if (const unsigned ist = gate.low.gate_ist(); ist != 0) {
        pointer = interrupt_stack64(core, ist, event.external);
    } else if (inward) {
        pointer = inner_stack64(core, handler.cpl, event.external);
    }
    if (!is_canonical(gate.offset)) {
        raise(k_gp, event.external);
    }
    FrameStack stack(core, core.segment[k_ss], pointer & ~uint64_t{15}, handler.cpl, event.external,
                     FrameStack::Width::flat64);
    stack.push(8, core.segment[k_ss].selector);
    stack.push(8, core.gpr[k_rsp]);
    stack.push(8, pushed_rflags(core, event));
    stack.push(8, core.segment[k_cs].selector);
    stack.push(8, event.return_rip);
    if (event.error_code) {
        stack.push(8, *event.error_code);
    }
    commit_code_segment(core, handler);
    if (inward) {
        core.segment[k_ss] = null_segment(static_cast<uint16_t>(handler.cpl), handler.cpl);
    }
    core.gpr[k_rsp] = stack.pointer();
    enter_handler(core, gate.offset, cleared_by(gate));
    update_mode(core);
}

void check_entry_point(const Handler& handler, const Gate& gate, const Event& event) {
    if (gate.offset > handler.code.descriptor.limit()) {
        raise(k_gp, event.external);
    }
}

void push_return(Core& core, FrameStack& stack, unsigned size, const Event& event) {
    stack.push(size, pushed_rflags(core, event));
    stack.push(size, core.segment[k_cs].selector);
    stack.push(size, event.return_rip);
    if (event.error_code) {
        stack.push(size, *event.error_code);
    }
}

void deliver_same_privilege(Core& core, const Event& event, const Gate& gate, Handler& handler) {
    const unsigned size = gate.wide ? 4 : 2;
    FrameStack stack(core, core.segment[k_ss], core.gpr[k_rsp], core.cpl, event.external, FrameStack::Width::by_segment);
    stack.check_room(size * (event.error_code ? 4 : 3));
    check_entry_point(handler, gate, event);
    push_return(core, stack, size, event);
    commit_code_segment(core, handler);
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    enter_handler(core, gate.offset, cleared_by(gate));
    update_mode(core);
}

void leave_v86_segments(Core& core) {
    for (const SegmentRegister which : {k_ds, k_es, k_fs, k_gs}) {
        core.segment[which] = null_segment(0, 0);
    }
}

void deliver_inward(Core& core, const Event& event, const Gate& gate, Handler& handler) {
    const unsigned size = gate.wide ? 4 : 2;
    const InnerStack inner = inner_stack(core, handler.cpl, event.external);
    const Segment segment = load_inner_stack_segment(core, inner.selector, handler.cpl, event.external);
    FrameStack stack(core, segment, inner.pointer, handler.cpl, selector_error(inner.selector) | event.external,
                     FrameStack::Width::by_segment);
    stack.check_room(size * ((core.v86 ? 9 : 5) + (event.error_code ? 1 : 0)));
    check_entry_point(handler, gate, event);
    if (core.v86) {
        for (const SegmentRegister which : {k_gs, k_fs, k_ds, k_es}) {
            stack.push(size, core.segment[which].selector);
        }
    }
    stack.push(size, core.segment[k_ss].selector);
    stack.push(size, core.gpr[k_rsp]);
    push_return(core, stack, size, event);
    commit_code_segment(core, handler);
    if (core.v86) {
        leave_v86_segments(core);
    }
    core.segment[k_ss] = segment;
    core.gpr[k_rsp] = stack.merged_into(inner.pointer);
    enter_handler(core, gate.offset, cleared_by(gate));
    update_mode(core);
}

void deliver_protected(Core& core, const Event& event) {
    const Gate gate = read_gate(core, event);
    if (gate.low.is_system(k_task_gate)) {
        TaskSwitch wanted;
        wanted.cause = TaskSwitchCause::interrupt;
        wanted.return_rip = event.return_rip;
        wanted.external = event.external;
        wanted.error_code = event.error_code;
        if (event.sets_resume_flag) {
            core.rflags_rest |= x86::k_flag_rf;  // into the old task's TSS
        }
        switch_through_task_gate(core, gate.low, wanted);
        return;
    }
    Handler handler = read_handler(core, gate, event);
    if (core.long_mode_active) {
        deliver_long(core, event, gate, handler);
    } else if (handler.cpl == core.cpl) {
        deliver_same_privilege(core, event, gate, handler);
    } else {
        deliver_inward(core, event, gate, handler);
    }
}

void deliver(Core& core, const Event& event) {
    if (core.protected_mode) {
        deliver_protected(core, event);
    } else {
        deliver_real(core, event);
    }
    core.shadow_sti = core.shadow_movss = false;
}

// --- what a second fault makes of the first (SDM 3A, table 6-5) ---------------------------------------------------------
bool is_contributory(uint8_t vector) { return vector == k_de || (vector >= k_ts && vector <= k_gp); }

bool makes_double_fault(uint8_t first, uint8_t second) {
    if (is_contributory(first)) {
        return is_contributory(second);
    }
    return first == k_pf && (is_contributory(second) || second == k_pf);
}

// A fault met while delivering `first`, with the EXT bit where its error code has one.
Event second_event(const Fault& fault, uint64_t rip) {
    Event event;
    event.vector = fault.vector;
    event.return_rip = rip;
    event.sets_resume_flag = true;
    event.is_exception = true;
    if (fault.has_error_code) {
        event.error_code = fault.error_code;
    }
    return event;
}

Event double_fault(uint64_t rip) {
    Event event;
    event.vector = k_df;
    event.error_code = 0;
    event.is_exception = true;
    event.return_rip = rip;
    return event;
}

// Never throws: ends in a handler, or in shutdown.
void deliver_to_the_end(Core& core, Event event) {
    core.activity = Activity::running;
    // benign -> #PF -> #DF -> shutdown is the longest chain.
    for (;;) {
        try {
            deliver(core, event);
            return;
        } catch (const Fault& fault) {
            if (event.is_exception && event.vector == k_df) {
                core.activity = Activity::shutdown;
                return;
            }
            event = event.is_exception && makes_double_fault(event.vector, fault.vector) ? double_fault(core.rip)
                                                                                         : second_event(fault, core.rip);
        }
    }
}

// SDM 3B, 17.4.1: a debug exception clears IA32_DEBUGCTL.LBR and BTF.
void end_branch_tracing(Core& core) { core.msr.debugctl &= ~(x86::k_debugctl_lbr | x86::k_debugctl_btf); }

bool is_fault_class(uint8_t vector) { return vector != k_df && vector != k_mc && vector != k_bp && vector != k_of; }

}  // namespace

void deliver_exception(Core& core, const Fault& fault) {
    if (fault.vector == k_db) {
        end_branch_tracing(core);
    }
    Event event;
    event.vector = fault.vector;
    event.return_rip = core.rip;
    event.is_exception = true;
    event.sets_resume_flag = is_fault_class(fault.vector);
    if (fault.has_error_code && core.protected_mode) {
        event.error_code = fault.error_code;
    }
    deliver_to_the_end(core, event);
}

void take_fault(Core& core, const Fault& fault) noexcept {
    core.requests.fetch_and(~uint32_t{k_request_step});
    core.shadow_sti = core.shadow_movss = false;
    core.pending_debug = 0;  // what the instruction touched before it faulted, it will touch again
    deliver_exception(core, fault);
}

void deliver_interrupt(Core& core, uint8_t vector) {
    Event event;
    event.vector = vector;
    event.return_rip = core.rip;
    deliver_to_the_end(core, event);
}

void deliver_nmi(Core& core) {
    core.nmi_pending = false;
    core.nmi_blocked = true;
    deliver_interrupt(core, k_nmi);
}

void deliver_debug_trap(Core& core, uint64_t dr6_bits) {
    core.dr6 = (core.dr6 & ~uint64_t{0xf}) | dr6_bits;
    core.dr7 &= ~k_dr7_gd;
    end_branch_tracing(core);
    Event event;
    event.vector = k_db;
    event.return_rip = core.rip;
    deliver_to_the_end(core, event);
}

void software_interrupt(Core& core, uint8_t vector, SoftwareInterrupt kind) {
    const unsigned iopl = (core.rflags_rest >> 12) & 3;
    if (kind == SoftwareInterrupt::int_n && core.v86 && iopl != 3) {
        raise(k_gp, 0);
    }
    Event event;
    event.vector = vector;
    event.return_rip = core.next_rip;
    if (kind != SoftwareInterrupt::int1) {
        event.external = 0;
        event.checks_gate_dpl = true;
    }
    deliver(core, event);
    core.step_lost = true;
}

bool needs_single_steps(const Core& core) {
    constexpr uint64_t k_enabled = 0xff;
    return (core.rflags_rest & (x86::k_flag_tf | x86::k_flag_rf)) != 0 || core.shadow_sti || core.shadow_movss ||
           (core.dr7 & k_enabled) != 0;
}

// SDM 3A, table 6-2: traps of the last instruction, then NMI, then maskable interrupts.
bool poll_events(Core& core) {
    if ((core.requests.load(std::memory_order_relaxed) & k_request_interrupt) != 0) {
        core.requests.fetch_and(~uint32_t{k_request_interrupt}, std::memory_order_acquire);
        core.interrupt_maybe = true;
    }
    if (core.pending_debug != 0 && !core.shadow_movss) {
        const uint64_t earned = core.pending_debug;
        core.pending_debug = 0;
        deliver_debug_trap(core, earned);
        return true;
    }
    if (core.activity == Activity::shutdown || core.shadow_movss) {
        return false;
    }
    if (core.nmi_pending && !core.nmi_blocked && !core.shadow_sti) {
        deliver_nmi(core);
        return true;
    }
    const bool accepts = (core.rflags_rest & x86::k_flag_if) != 0 && !core.shadow_sti;
    if (!core.interrupt_maybe || !accepts) {
        return false;
    }
    if (core.queued_interrupt) {
        const uint8_t vector = *core.queued_interrupt;
        core.queued_interrupt.reset();
        deliver_interrupt(core, vector);
        return true;
    }
    if (!core.io->interrupt_pending()) {
        core.interrupt_maybe = false;
        return false;
    }
    deliver_interrupt(core, core.io->acknowledge_interrupt());
    return true;
}

}  // namespace skep::interp
