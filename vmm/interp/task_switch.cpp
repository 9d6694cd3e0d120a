// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/task_switch.hpp"

#include "vmm/interp/flags.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/system_stack.hpp"
#include "vmm/x86/paging.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

namespace {

constexpr bool is_tss32(unsigned type) { return (type & ~2U) == k_tss32_available; }

uint64_t read_tss(Core& core, uint64_t offset, unsigned size) {
    const uint64_t linear = core.tr.base + offset;
    return read_linear(core, core.long_mode_active ? linear : linear & 0xffff'ffff, size, k_as_supervisor);
}

}  // namespace

InnerStack inner_stack(Core& core, unsigned cpl, uint32_t external) {
    const bool wide = is_tss32(core.tr.type());
    const unsigned offset = wide ? 4 + cpl * 8 : 2 + cpl * 4;
    if (offset + (wide ? 7 : 3) > core.tr.limit) {
        raise(k_ts, selector_error(core.tr.selector) | external);
    }
    const unsigned size = wide ? 4 : 2;
    const uint64_t pointer = read_tss(core, offset, size);
    return {static_cast<uint16_t>(read_tss(core, offset + size, 2)), pointer};
}

namespace {

uint64_t read_stack64(Core& core, unsigned offset, uint32_t external) {
    if (offset + 7 > core.tr.limit) {
        raise(k_ts, selector_error(core.tr.selector) | external);
    }
    const uint64_t pointer = read_tss(core, offset, 8);
    if (!is_canonical(pointer)) {
        raise(k_ss_fault, external);
    }
    return pointer;
}

}  // namespace

uint64_t inner_stack64(Core& core, unsigned cpl, uint32_t external) { return read_stack64(core, 4 + cpl * 8, external); }

uint64_t interrupt_stack64(Core& core, unsigned ist, uint32_t external) {
    return read_stack64(core, 0x24 + (ist - 1) * 8, external);
}

Segment load_inner_stack_segment(Core& core, uint16_t selector, unsigned cpl, uint32_t external) {
    const uint32_t error = selector_error(selector) | external;
    std::optional<DescriptorPlace> place;
    if (!selector_is_null(selector)) {
        place = read_descriptor(core, selector);
    }
    if (!place || selector_rpl(selector) != cpl || place->descriptor.dpl() != cpl ||
        !place->descriptor.is_writable_data()) {
        raise(k_ts, error);
    }
    if (!place->descriptor.present()) {
        raise(k_ss_fault, error);
    }
    mark_accessed(core, *place);
    return segment_of(selector, place->descriptor);
}

namespace {

// Where a TSS keeps things (SDM 3A, figures 7-2 and 7-10).
struct TssLayout {
    unsigned width;       // of a register, bytes
    unsigned minimum;     // limit, at least
    unsigned rip, rflags, gpr, segments, segment_count, ldt;
};
constexpr TssLayout k_layout32{4, 0x67, 0x20, 0x24, 0x28, 0x48, 6, 0x60};
constexpr TssLayout k_layout16{2, 0x2b, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a};

constexpr const TssLayout& layout_of(unsigned type) { return is_tss32(type) ? k_layout32 : k_layout16; }

// What a TSS says of a task.
struct TaskImage {
    uint64_t cr3 = 0, rip = 0, rflags = 0;
    std::array<uint64_t, 8> gpr{};
    std::array<uint16_t, 6> selector{};
    uint16_t ldt = 0;
    bool debug_trap = false;
};

class TssMemory {
  public:
    TssMemory(Core& core, uint64_t base) : m_core(core), m_base(base) {}
    [[nodiscard]] uint64_t read(unsigned offset, unsigned size) const {
        return read_linear(m_core, at(offset), size, k_as_supervisor);
    }
    void write(unsigned offset, unsigned size, uint64_t value) const {
        write_linear(m_core, at(offset), size, value, k_as_supervisor);
    }
    void check_writable(unsigned offset, unsigned size) const {
        check_linear_write(m_core, at(offset), size, k_as_supervisor);
    }

  private:
    [[nodiscard]] uint64_t at(unsigned offset) const { return (m_base + offset) & 0xffff'ffff; }
    Core& m_core;
    uint64_t m_base;
};

TaskImage read_task(const TssMemory& tss, const TssLayout& layout) {
    TaskImage image;
    image.rip = tss.read(layout.rip, layout.width);
    image.rflags = tss.read(layout.rflags, layout.width);
    for (unsigned i = 0; i < 8; ++i) {
        image.gpr[i] = tss.read(layout.gpr + i * layout.width, layout.width);
    }
    for (unsigned i = 0; i < layout.segment_count; ++i) {
        image.selector[i] = static_cast<uint16_t>(tss.read(layout.segments + i * layout.width, 2));
    }
    image.ldt = static_cast<uint16_t>(tss.read(layout.ldt, 2));
    if (layout.width == 4) {
        image.cr3 = tss.read(0x1c, 4);
        image.debug_trap = (tss.read(0x64, 2) & 1) != 0;
    } else {
        for (uint64_t& value : image.gpr) {
            value |= 0xffff'0000;  // undefined by the manual; what processors leave
        }
    }
    return image;
}

void save_task(const Core& core, const TssMemory& tss, const TssLayout& layout, const TaskSwitch& wanted) {
    uint64_t rflags = read_rflags(core);
    if (wanted.cause == TaskSwitchCause::iret) {
        rflags &= ~x86::k_flag_nt;
    }
    tss.write(layout.rip, layout.width, wanted.return_rip);
    tss.write(layout.rflags, layout.width, rflags);
    for (unsigned i = 0; i < 8; ++i) {
        tss.write(layout.gpr + i * layout.width, layout.width, core.gpr[i]);
    }
    for (unsigned i = 0; i < layout.segment_count; ++i) {
        tss.write(layout.segments + i * layout.width, 2, core.segment[i].selector);
    }
}

void set_busy(Core& core, const DescriptorPlace& place, bool busy) {
    uint64_t raw = place.descriptor.raw & ~k_descriptor_busy;
    raw |= busy ? k_descriptor_busy : 0;
    write_linear(core, place.linear + 5, 1, (raw >> 40) & 0xff, k_as_supervisor);
}

[[noreturn]] void bad_task(uint16_t selector, uint32_t external) { raise(k_ts, selector_error(selector) | external); }

void load_task_ldt(Core& core, uint16_t selector, uint32_t external) {
    core.ldtr = null_segment(selector, 0);
    if (selector_is_null(selector)) {
        return;
    }
    const std::optional<DescriptorPlace> place =
        selector_is_local(selector) ? std::nullopt : read_descriptor(core, selector);
    if (!place || !place->descriptor.is_system(k_ldt) || !place->descriptor.present()) {
        bad_task(selector, external);
    }
    core.ldtr = segment_of(selector, place->descriptor);
}

void load_task_code(Core& core, uint16_t selector, uint32_t external) {
    std::optional<DescriptorPlace> place;
    if (!selector_is_null(selector)) {
        place = read_descriptor(core, selector);
    }
    if (!place || !place->descriptor.is_code()) {
        bad_task(selector, external);
    }
    const unsigned dpl = place->descriptor.dpl();
    const unsigned rpl = selector_rpl(selector);
    if (place->descriptor.is_conforming_code() ? dpl > rpl : dpl != rpl) {
        bad_task(selector, external);
    }
    if (!place->descriptor.present()) {
        raise(k_np, selector_error(selector) | external);
    }
    mark_accessed(core, *place);
    core.segment[k_cs] = segment_of(selector, place->descriptor);
}

void load_task_data(Core& core, SegmentRegister which, uint16_t selector, uint32_t external) {
    if (selector_is_null(selector)) {
        return;
    }
    std::optional<DescriptorPlace> place = read_descriptor(core, selector);
    if (!place || (!place->descriptor.is_data() && !place->descriptor.is_readable_code())) {
        bad_task(selector, external);
    }
    const Descriptor descriptor = place->descriptor;
    const bool hidden = descriptor.dpl() < core.cpl || descriptor.dpl() < selector_rpl(selector);
    if (!descriptor.is_conforming_code() && hidden) {
        bad_task(selector, external);
    }
    if (!descriptor.present()) {
        raise(k_np, selector_error(selector) | external);
    }
    mark_accessed(core, *place);
    core.segment[which] = segment_of(selector, place->descriptor);
}

// Selectors are in place, nothing is valid yet: faults from here on are the new task's.
void load_task_segments(Core& core, const TaskImage& image, uint32_t external) {
    const auto cpl = static_cast<unsigned>(selector_rpl(image.selector[k_cs]));
    for (unsigned i = 0; i < core.segment.size(); ++i) {
        core.segment[i] = null_segment(image.selector[i], cpl);
    }
    update_mode(core);
    load_task_ldt(core, image.ldt, external);
    if (core.v86) {
        for (const SegmentRegister which : {k_es, k_cs, k_ss, k_ds, k_fs, k_gs}) {
            load_segment_real(core, which, image.selector[which]);
        }
        return;
    }
    load_task_code(core, image.selector[k_cs], external);
    core.segment[k_ss] = load_inner_stack_segment(core, image.selector[k_ss], cpl, external);
    for (const SegmentRegister which : {k_ds, k_es, k_fs, k_gs}) {
        load_task_data(core, which, image.selector[which], external);
    }
    update_mode(core);
}

void load_task_registers(Core& core, const TaskImage& image, bool loads_cr3, bool nested) {
    if (loads_cr3) {
        write_cr3(core, image.cr3);
    }
    core.cr0 |= k_cr0_ts;
    core.dr7 &= ~uint64_t{0x155};  // the local enables and LE
    for (unsigned i = 0; i < 8; ++i) {
        core.gpr[i] = image.gpr[i];
    }
    core.rip = core.next_rip = image.rip;
    load_rflags(core, image.rflags | (nested ? x86::k_flag_nt : 0), k_flags_all);
}

void check_new_tss(const TaskSwitch& wanted) {
    const Descriptor descriptor = wanted.place.descriptor;
    if (descriptor.limit() < layout_of(descriptor.type()).minimum) {
        raise(k_ts, selector_error(wanted.selector) | wanted.external);
    }
}

// Busy bits and links: after this the switch happens.
void leave_old_task(Core& core, const TaskSwitch& wanted, const TssMemory& fresh, bool nested) {
    const TssLayout& layout = layout_of(core.tr.type());
    const TssMemory old(core, core.tr.base);
    old.check_writable(layout.rip, layout.ldt - layout.rip);
    save_task(core, old, layout, wanted);
    if (!nested) {
        if (const auto place = read_descriptor(core, core.tr.selector)) {
            set_busy(core, *place, false);
        }
    } else {
        fresh.write(0, 2, core.tr.selector);
    }
    if (wanted.cause != TaskSwitchCause::iret) {
        set_busy(core, wanted.place, true);
    }
}

}  // namespace

void switch_task(Core& core, const TaskSwitch& wanted) {
    check_new_tss(wanted);
    const bool nested = wanted.cause == TaskSwitchCause::call || wanted.cause == TaskSwitchCause::interrupt;
    Descriptor descriptor = wanted.place.descriptor;
    const TssLayout& layout = layout_of(descriptor.type());
    const TssMemory fresh(core, descriptor.base());
    const TaskImage image = read_task(fresh, layout);
    if (nested) {
        fresh.check_writable(0, 2);
    }
    leave_old_task(core, wanted, fresh, nested);
    descriptor.raw |= k_descriptor_busy;
    core.tr = segment_of(wanted.selector, descriptor);
    load_task_registers(core, image, layout.width == 4 && (core.cr0 & k_cr0_pg) != 0, nested);
    load_task_segments(core, image, wanted.external);
    if (!inside_limit(core.segment[k_cs], image.rip, 1)) {
        raise(k_gp, wanted.external);
    }
    if (wanted.error_code) {
        FrameStack stack(core);
        stack.push(layout.width, *wanted.error_code);
        core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
    }
    if (image.debug_trap) {
        core.pending_debug |= k_dr6_bt;
    }
}

void return_to_previous_task(Core& core) {
    const auto selector = static_cast<uint16_t>(read_tss(core, 0, 2));
    const std::optional<DescriptorPlace> place =
        selector_is_local(selector) ? std::nullopt : read_descriptor(core, selector);
    const bool busy = place && (place->descriptor.is_system(k_tss16_busy) || place->descriptor.is_system(k_tss32_busy));
    if (!busy) {
        raise(k_ts, selector_error(selector));
    }
    if (!place->descriptor.present()) {
        raise(k_np, selector_error(selector));
    }
    TaskSwitch wanted;
    wanted.selector = selector;
    wanted.place = *place;
    wanted.cause = TaskSwitchCause::iret;
    wanted.return_rip = core.next_rip;
    switch_task(core, wanted);
}

void switch_through_task_gate(Core& core, Descriptor gate, TaskSwitch wanted) {
    wanted.selector = gate.gate_selector();
    const uint32_t error = selector_error(wanted.selector) | wanted.external;
    const std::optional<DescriptorPlace> place =
        selector_is_local(wanted.selector) ? std::nullopt : read_descriptor(core, wanted.selector);
    const bool available =
        place && (place->descriptor.is_system(k_tss16_available) || place->descriptor.is_system(k_tss32_available));
    if (!available) {
        raise(k_gp, error);
    }
    if (!place->descriptor.present()) {
        raise(k_np, error);
    }
    wanted.place = *place;
    switch_task(core, wanted);
}

}  // namespace skep::interp
