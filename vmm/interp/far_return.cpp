// SPDX-License-Identifier: GPL-3.0-or-later
// Far RET and IRET, to the same ring, outward, to V86 mode and to another task.
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
