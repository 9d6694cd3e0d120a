// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/far_control.hpp"

#include "vmm/base/bits.hpp"
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

bool is_real_style(const Core& core) { return !core.protected_mode || core.v86; }

// The target must lie in the segment, or be canonical in 64-bit code.
void check_target(const Core& core, const Segment& code, uint64_t offset) {
    const bool code64 = core.long_mode_active && code.long_mode();
    if (code64 ? !is_canonical(offset) : offset > code.limit) {
        raise(k_gp, 0);
    }
}

DescriptorPlace descriptor_or_gp(Core& core, uint16_t selector) {
    if (selector_is_null(selector)) {
        raise(k_gp, 0);
    }
    const std::optional<DescriptorPlace> place = read_descriptor(core, selector);
    if (!place) {
        raise(k_gp, selector_error(selector));
    }
    return *place;
}

void check_long_code(const Core& core, Descriptor descriptor, uint16_t selector) {
    if (core.long_mode_active && descriptor.long_mode() && descriptor.default_big()) {
        raise(k_gp, selector_error(selector));
    }
}

void check_present(Descriptor descriptor, uint16_t selector) {
    if (!descriptor.present()) {
        raise(k_np, selector_error(selector));
    }
}

void enter(Core& core, const Segment& code, uint64_t rip) {
    core.segment[k_cs] = code;
    core.next_rip = rip;
    update_mode(core);
}

Segment code_at(DescriptorPlace place, uint16_t selector, unsigned cpl) {
    return segment_of(static_cast<uint16_t>((selector & ~3U) | cpl), place.descriptor);
}

// --- real mode and V86 -----------------------------------------------------------------------------------------------
void enter_real(Core& core, uint16_t selector, uint64_t offset) {
    if (offset > core.segment[k_cs].limit) {
        raise(k_gp, 0);
    }
    load_segment_real(core, k_cs, selector);
    core.next_rip = offset;
}

// --- direct transfers to a code segment --------------------------------------------------------------------------------
void check_direct_code(const Core& core, Descriptor descriptor, uint16_t selector) {
    check_long_code(core, descriptor, selector);
    const bool allowed = descriptor.is_conforming_code()
                             ? descriptor.dpl() <= core.cpl
                             : selector_rpl(selector) <= core.cpl && descriptor.dpl() == core.cpl;
    if (!allowed) {
        raise(k_gp, selector_error(selector));
    }
    check_present(descriptor, selector);
}

void push_far_return(Core& core, FrameStack& stack, unsigned size) {
    stack.push(size, core.segment[k_cs].selector);
    stack.push(size, core.next_rip);
}

enum class Transfer : uint8_t { jump, call };

void transfer_to_code(Core& core, DescriptorPlace place, uint16_t selector, uint64_t offset, unsigned size,
                      Transfer transfer) {
    check_direct_code(core, place.descriptor, selector);
    const Segment code = code_at(place, selector, core.cpl);
    FrameStack stack(core);
    if (transfer == Transfer::call) {
        stack.check_room(size * 2);
    }
    check_target(core, code, offset);
    if (transfer == Transfer::call) {
        push_far_return(core, stack, size);
        core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    }
    mark_accessed(core, place);
    enter(core, segment_of(code.selector, place.descriptor), offset);
}

// --- call gates --------------------------------------------------------------------------------------------------------
struct CallGate {
    Descriptor low;
    uint64_t offset = 0;
    unsigned size = 4;  // of what is pushed
};

void check_gate_privilege(const Core& core, Descriptor gate, uint16_t selector) {
    if (gate.dpl() < core.cpl || gate.dpl() < selector_rpl(selector)) {
        raise(k_gp, selector_error(selector));
    }
    check_present(gate, selector);
}

CallGate read_call_gate(Core& core, const DescriptorPlace& place, uint16_t selector) {
    CallGate gate{place.descriptor, place.descriptor.gate_offset(), 4};
    if (core.long_mode_active) {
        const std::optional<uint64_t> high = read_descriptor_high(core, selector, place);
        constexpr uint64_t k_type_of_high_half = uint64_t{0x1f} << 40;
        if (!high || (*high & k_type_of_high_half) != 0) {
            raise(k_gp, selector_error(selector));
        }
        gate.offset |= *high << 32;
        gate.size = 8;
    } else if (place.descriptor.is_system(k_call_gate16)) {
        gate.offset &= 0xffff;
        gate.size = 2;
    }
    return gate;
}

DescriptorPlace read_gate_target(Core& core, const CallGate& gate) {
    const uint16_t selector = gate.low.gate_selector();
    const DescriptorPlace target = descriptor_or_gp(core, selector);
    const Descriptor code = target.descriptor;
    const bool wrong_width = core.long_mode_active && (!code.long_mode() || code.default_big());
    if (!code.is_code() || code.dpl() > core.cpl || wrong_width) {
        raise(k_gp, selector_error(selector));
    }
    return target;
}

void enter_gate(Core& core, DescriptorPlace& target, const CallGate& gate, unsigned cpl) {
    mark_accessed(core, target);
    enter(core, code_at(target, gate.low.gate_selector(), cpl), gate.offset);
}

void jump_through_gate(Core& core, const CallGate& gate) {
    DescriptorPlace target = read_gate_target(core, gate);
    const uint16_t selector = gate.low.gate_selector();
    if (!target.descriptor.is_conforming_code() && target.descriptor.dpl() != core.cpl) {
        raise(k_gp, selector_error(selector));
    }
    check_present(target.descriptor, selector);
    check_target(core, segment_of(selector, target.descriptor), gate.offset);
    enter_gate(core, target, gate, core.cpl);
}

void call_inward64(Core& core, const CallGate& gate, DescriptorPlace& target, unsigned cpl) {
    const uint64_t pointer = inner_stack64(core, cpl, 0);
    check_target(core, segment_of(gate.low.gate_selector(), target.descriptor), gate.offset);
    FrameStack stack(core, core.segment[k_ss], pointer, cpl, 0, FrameStack::Width::flat64);
    stack.push(8, core.segment[k_ss].selector);
    stack.push(8, core.gpr[k_rsp]);
    push_far_return(core, stack, 8);
    core.segment[k_ss] = null_segment(static_cast<uint16_t>(cpl), cpl);
    core.gpr[k_rsp] = stack.pointer();
    enter_gate(core, target, gate, cpl);
}

void call_inward(Core& core, const CallGate& gate, DescriptorPlace& target, unsigned cpl) {
    const InnerStack inner = inner_stack(core, cpl, 0);
    const Segment segment = load_inner_stack_segment(core, inner.selector, cpl, 0);
    const unsigned parameters = gate.low.gate_parameters();
    FrameStack stack(core, segment, inner.pointer, cpl, selector_error(inner.selector), FrameStack::Width::by_segment);
    stack.check_room(gate.size * (4 + parameters));
    check_target(core, segment_of(gate.low.gate_selector(), target.descriptor), gate.offset);
    std::array<uint64_t, 32> parameter{};
    FrameStack outer(core);
    for (unsigned i = 0; i < parameters; ++i) {
        parameter[i] = outer.pop(gate.size);
    }
    stack.push(gate.size, core.segment[k_ss].selector);
    stack.push(gate.size, core.gpr[k_rsp]);
    for (unsigned i = parameters; i > 0; --i) {
        stack.push(gate.size, parameter[i - 1]);
    }
    push_far_return(core, stack, gate.size);
    core.segment[k_ss] = segment;
    core.gpr[k_rsp] = stack.merged_into(inner.pointer);
    enter_gate(core, target, gate, cpl);
}

void call_through_gate(Core& core, const CallGate& gate) {
    DescriptorPlace target = read_gate_target(core, gate);
    const uint16_t selector = gate.low.gate_selector();
    check_present(target.descriptor, selector);
    const unsigned dpl = target.descriptor.dpl();
    if (!target.descriptor.is_conforming_code() && dpl < core.cpl) {
        if (core.long_mode_active) {
            call_inward64(core, gate, target, dpl);
        } else {
            call_inward(core, gate, target, dpl);
        }
        return;
    }
    FrameStack stack(core, core.segment[k_ss], core.gpr[k_rsp], core.cpl, 0,
                     core.long_mode_active ? FrameStack::Width::flat64 : FrameStack::Width::by_segment);
    stack.check_room(gate.size * 2);
    check_target(core, segment_of(selector, target.descriptor), gate.offset);
    push_far_return(core, stack, gate.size);
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    enter_gate(core, target, gate, core.cpl);
}

// --- tasks -------------------------------------------------------------------------------------------------------------
TaskSwitch wanted_task(const Core& core, Transfer transfer) {
    TaskSwitch wanted;
    wanted.cause = transfer == Transfer::call ? TaskSwitchCause::call : TaskSwitchCause::jump;
    wanted.return_rip = core.next_rip;
    return wanted;
}

void transfer_to_tss(Core& core, const DescriptorPlace& place, uint16_t selector, Transfer transfer) {
    if (place.descriptor.dpl() < core.cpl || place.descriptor.dpl() < selector_rpl(selector) ||
        selector_is_local(selector)) {
        raise(k_gp, selector_error(selector));
    }
    check_present(place.descriptor, selector);
    TaskSwitch wanted = wanted_task(core, transfer);
    wanted.selector = selector;
    wanted.place = place;
    switch_task(core, wanted);
}

void transfer_to_system(Core& core, const DescriptorPlace& place, uint16_t selector, Transfer transfer) {
    const unsigned type = place.descriptor.type();
    const bool call_gate = type == k_call_gate32 || (type == k_call_gate16 && !core.long_mode_active);
    if (call_gate) {
        check_gate_privilege(core, place.descriptor, selector);
        const CallGate gate = read_call_gate(core, place, selector);
        transfer == Transfer::call ? call_through_gate(core, gate) : jump_through_gate(core, gate);
        return;
    }
    if (!core.long_mode_active && type == k_task_gate) {
        check_gate_privilege(core, place.descriptor, selector);
        switch_through_task_gate(core, place.descriptor, wanted_task(core, transfer));
        return;
    }
    if (!core.long_mode_active && (type == k_tss16_available || type == k_tss32_available)) {
        transfer_to_tss(core, place, selector, transfer);
        return;
    }
    raise(k_gp, selector_error(selector));
}

void far_transfer(Core& core, uint16_t selector, uint64_t offset, unsigned size, Transfer transfer) {
    const DescriptorPlace place = descriptor_or_gp(core, selector);
    if (place.descriptor.is_code()) {
        transfer_to_code(core, place, selector, offset & all_ones(size), size, transfer);
    } else if (place.descriptor.is_code_or_data()) {
        raise(k_gp, selector_error(selector));
    } else {
        transfer_to_system(core, place, selector, transfer);
    }
}

}  // namespace

void far_jump(Core& core, uint16_t selector, uint64_t offset, unsigned operand_size) {
    if (is_real_style(core)) {
        enter_real(core, selector, offset & all_ones(operand_size));
        return;
    }
    far_transfer(core, selector, offset, operand_size, Transfer::jump);
}

void far_call(Core& core, uint16_t selector, uint64_t offset, unsigned operand_size) {
    if (!is_real_style(core)) {
        far_transfer(core, selector, offset, operand_size, Transfer::call);
        return;
    }
    offset &= all_ones(operand_size);
    FrameStack stack(core);
    stack.check_room(operand_size * 2);
    if (offset > core.segment[k_cs].limit) {
        raise(k_gp, 0);
    }
    push_far_return(core, stack, operand_size);
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    enter_real(core, selector, offset);
}

// --- returns -----------------------------------------------------------------------------------------------------------
namespace {

// The code segment that RET or IRET goes back to.
DescriptorPlace read_return_code(Core& core, uint16_t selector) {
    const DescriptorPlace place = descriptor_or_gp(core, selector);
    const Descriptor code = place.descriptor;
    const unsigned rpl = selector_rpl(selector);
    if (!code.is_code() || rpl < core.cpl) {
        raise(k_gp, selector_error(selector));
    }
    check_long_code(core, code, selector);
    if (code.is_conforming_code() ? code.dpl() > rpl : code.dpl() != rpl) {
        raise(k_gp, selector_error(selector));
    }
    check_present(code, selector);
    return place;
}

// The stack segment it goes back to. A null selector is good for 64-bit code outside ring 3.
Segment read_return_stack(Core& core, uint16_t selector, const Segment& code) {
    const unsigned cpl = selector_rpl(code.selector);
    const bool code64 = core.long_mode_active && code.long_mode();
    if (selector_is_null(selector)) {
        if (!code64 || cpl == 3 || selector_rpl(selector) != cpl) {
            raise(k_gp, 0);
        }
        return null_segment(selector, cpl);
    }
    DescriptorPlace place = descriptor_or_gp(core, selector);
    if (selector_rpl(selector) != cpl || !place.descriptor.is_writable_data() || place.descriptor.dpl() != cpl) {
        raise(k_gp, selector_error(selector));
    }
    if (!place.descriptor.present()) {
        raise(k_ss_fault, selector_error(selector));
    }
    mark_accessed(core, place);
    return segment_of(selector, place.descriptor);
}

// Segments of the inner ring do not survive the way out (SDM 3A, 5.8.6).
void drop_inner_segments(Core& core, unsigned cpl) {
    for (const SegmentRegister which : {k_es, k_ds, k_fs, k_gs}) {
        Segment& segment = core.segment[which];
        const bool conforming = segment.is_code_or_data() && (segment.type() & 0xc) == 0xc;
        if (!segment.unusable() && !conforming && segment.dpl() < cpl) {
            segment = null_segment(0, 0);
        } else if (segment.unusable()) {
            segment.selector = 0;
        }
    }
}

struct OuterStack {
    Segment segment;
    uint64_t pointer = 0;
};

// Pops RSP and SS, of `size` each.
OuterStack pop_outer_stack(Core& core, FrameStack& stack, unsigned size, const Segment& code) {
    OuterStack outer;
    outer.pointer = stack.pop(size);
    outer.segment = read_return_stack(core, static_cast<uint16_t>(stack.pop(size)), code);
    return outer;
}

void take_outer_stack(Core& core, const OuterStack& outer, const Segment& code, uint64_t released) {
    const bool code64 = core.long_mode_active && code.long_mode();
    const FrameStack::Width width = code64 ? FrameStack::Width::flat64 : FrameStack::Width::by_segment;
    FrameStack stack(core, outer.segment, outer.pointer, 3, 0, width);
    stack.skip(released);
    core.segment[k_ss] = outer.segment;
    core.gpr[k_rsp] = code64 || outer.segment.default_big() ? stack.pointer() : stack.merged_into(outer.pointer);
}

void far_return_real(Core& core, unsigned size, uint16_t released) {
    FrameStack stack(core);
    const uint64_t offset = stack.pop(size);
    const auto selector = static_cast<uint16_t>(stack.pop(size));
    stack.skip(released);
    if (offset > core.segment[k_cs].limit) {
        raise(k_gp, 0);
    }
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    enter_real(core, selector, offset);
}

}  // namespace

void far_return(Core& core, unsigned operand_size, uint16_t released_bytes) {
    if (is_real_style(core)) {
        far_return_real(core, operand_size, released_bytes);
        return;
    }
    FrameStack stack(core);
    const uint64_t offset = stack.pop(operand_size);
    const auto selector = static_cast<uint16_t>(stack.pop(operand_size));
    DescriptorPlace place = read_return_code(core, selector);
    Segment code = segment_of(selector, place.descriptor);
    stack.skip(released_bytes);
    if (selector_rpl(selector) == core.cpl) {
        check_target(core, code, offset);
        mark_accessed(core, place);
        core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
        enter(core, segment_of(selector, place.descriptor), offset);
        return;
    }
    const OuterStack outer = pop_outer_stack(core, stack, operand_size, code);
    check_target(core, code, offset);
    mark_accessed(core, place);
    take_outer_stack(core, outer, code, released_bytes);
    enter(core, segment_of(selector, place.descriptor), offset);
    drop_inner_segments(core, core.cpl);
    update_mode(core);
}

// --- IRET ---------------------------------------------------------------------------------------------------------------
namespace {

constexpr uint64_t k_iret_flags = k_flags_arithmetic | x86::k_flag_tf | x86::k_flag_df | x86::k_flag_nt;
constexpr uint64_t k_iret_wide_flags = x86::k_flag_rf | x86::k_flag_ac | x86::k_flag_id;

// Which flags IRET may change at the privilege it starts from.
uint64_t iret_mask(const Core& core, unsigned size) {
    const unsigned iopl = (core.rflags_rest >> 12) & 3;
    uint64_t mask = k_iret_flags | (size >= 4 ? k_iret_wide_flags : 0);
    if (core.cpl <= iopl) {
        mask |= x86::k_flag_if;
    }
    if (core.cpl == 0) {
        mask |= x86::k_flag_iopl | (size >= 4 ? x86::k_flag_vif | x86::k_flag_vip : 0);
    }
    return mask;
}

void iret_real(Core& core, unsigned size) {
    const unsigned iopl = (core.rflags_rest >> 12) & 3;
    if (core.v86 && iopl != 3) {
        raise(k_gp, 0);
    }
    FrameStack stack(core);
    const uint64_t offset = stack.pop(size);
    const auto selector = static_cast<uint16_t>(stack.pop(size));
    const uint64_t rflags = stack.pop(size);
    if (offset > core.segment[k_cs].limit) {
        raise(k_gp, 0);
    }
    uint64_t mask = k_iret_flags | x86::k_flag_if | (size >= 4 ? k_iret_wide_flags : 0);
    mask |= core.v86 ? 0 : x86::k_flag_iopl;
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    enter_real(core, selector, offset);
    load_rflags(core, rflags, mask);
}

void iret_to_v86(Core& core, FrameStack& stack, uint64_t offset, uint16_t selector, uint64_t rflags) {
    const uint64_t pointer = stack.pop(4);
    std::array<uint16_t, 6> selectors{};
    selectors[k_cs] = selector;
    for (const SegmentRegister which : {k_ss, k_es, k_ds, k_fs, k_gs}) {
        selectors[which] = static_cast<uint16_t>(stack.pop(4));
    }
    if (offset > 0xffff) {
        raise(k_gp, 0);
    }
    load_rflags(core, rflags, k_flags_all);  // V86 from here on
    for (const SegmentRegister which : {k_es, k_cs, k_ss, k_ds, k_fs, k_gs}) {
        load_segment_real(core, which, selectors[which]);
    }
    core.gpr[k_rsp] = pointer;
    core.next_rip = offset;
}

struct ReturnFrame {
    uint64_t offset = 0;
    uint16_t selector = 0;
    uint64_t rflags = 0;
};

void iret_protected(Core& core, FrameStack& stack, const ReturnFrame& frame, unsigned size) {
    DescriptorPlace place = read_return_code(core, frame.selector);
    const Segment code = segment_of(frame.selector, place.descriptor);
    const bool outward = selector_rpl(frame.selector) > core.cpl;
    const bool pops_stack = outward || core.code64;
    OuterStack outer;
    if (pops_stack) {
        outer = pop_outer_stack(core, stack, size, code);
    }
    check_target(core, code, frame.offset);
    mark_accessed(core, place);
    const uint64_t mask = iret_mask(core, size);
    if (pops_stack) {
        take_outer_stack(core, outer, code, 0);
    } else {
        core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    }
    enter(core, segment_of(frame.selector, place.descriptor), frame.offset);
    if (outward) {
        drop_inner_segments(core, core.cpl);
        update_mode(core);
    }
    load_rflags(core, frame.rflags, mask);
}

}  // namespace

void interrupt_return(Core& core, unsigned operand_size) {
    core.interrupt_maybe = true;
    if (is_real_style(core)) {
        iret_real(core, operand_size);
        core.nmi_blocked = false;
        return;
    }
    if ((core.rflags_rest & x86::k_flag_nt) != 0) {
        if (core.long_mode_active) {
            raise(k_gp, 0);
        }
        core.nmi_blocked = false;
        return_to_previous_task(core);
        return;
    }
    FrameStack stack(core);
    ReturnFrame frame;
    frame.offset = stack.pop(operand_size);
    frame.selector = static_cast<uint16_t>(stack.pop(operand_size));
    frame.rflags = stack.pop(operand_size);
    const bool to_v86 = operand_size == 4 && !core.long_mode_active && core.cpl == 0 && (frame.rflags & x86::k_flag_vm) != 0;
    if (to_v86) {
        iret_to_v86(core, stack, frame.offset, frame.selector, frame.rflags);
    } else {
        iret_protected(core, stack, frame, operand_size);
    }
    core.nmi_blocked = false;
}

}  // namespace skep::interp
