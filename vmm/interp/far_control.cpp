// SPDX-License-Identifier: GPL-3.0-or-later
// Far JMP and CALL, direct and through gates and tasks.
#include "vmm/interp/far_control.hpp"

#include "vmm/base/bits.hpp"
#include "vmm/interp/far_control_parts.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/segments.hpp"
#include "vmm/interp/system_stack.hpp"
#include "vmm/interp/task_switch.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

// --- what jumps, calls and returns share ---------------------------------------------------------------------------------
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

void enter_real(Core& core, uint16_t selector, uint64_t offset) {
    if (offset > core.segment[k_cs].limit) {
        raise(k_gp, 0);
    }
    load_segment_real(core, k_cs, selector);
    core.next_rip = offset;
}

namespace {

Segment code_at(DescriptorPlace place, uint16_t selector, unsigned cpl) {
    return segment_of(static_cast<uint16_t>((selector & ~3U) | cpl), place.descriptor);
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

}  // namespace skep::interp
