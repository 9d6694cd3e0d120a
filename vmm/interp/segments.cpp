// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/segments.hpp"

#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

std::optional<DescriptorPlace> read_descriptor(Core& core, uint16_t selector) {
    const unsigned offset = selector & 0xfff8;
    uint64_t base = core.gdtr.base;
    uint64_t limit = core.gdtr.limit;
    if (selector_is_local(selector)) {
        if (core.ldtr.unusable()) {
            return std::nullopt;
        }
        base = core.ldtr.base;
        limit = core.ldtr.limit;
    }
    if (offset + 7 > limit) {
        return std::nullopt;
    }
    const uint64_t linear = core.long_mode_active ? base + offset : (base + offset) & 0xffff'ffff;
    return DescriptorPlace{{read_linear(core, linear, 8, k_as_supervisor)}, linear};
}

std::optional<uint64_t> read_descriptor_high(Core& core, uint16_t selector, const DescriptorPlace& place) {
    const uint64_t limit = selector_is_local(selector) ? core.ldtr.limit : core.gdtr.limit;
    if ((selector & 0xfff8U) + 15 > limit) {
        return std::nullopt;
    }
    return read_linear(core, place.linear + 8, 8, k_as_supervisor);
}

void mark_accessed(Core& core, DescriptorPlace& place) {
    if (place.descriptor.accessed()) {
        return;
    }
    place.descriptor.raw |= k_descriptor_accessed;
    write_linear(core, place.linear + 5, 1, (place.descriptor.raw >> 40) & 0xff, k_as_supervisor);
}

// In real mode limit and rights stay as they are: that is what makes "unreal" mode. V86 sets them (SDM 3B, 20.2.2).
void load_segment_real(Core& core, SegmentRegister which, uint16_t selector) {
    constexpr uint32_t k_v86_rights = 0xf3;  // present, DPL 3, writable data, accessed
    Segment& segment = core.segment[which];
    segment.selector = selector;
    segment.base = uint64_t{selector} << 4;
    if (core.v86) {
        segment.limit = 0xffff;
        segment.attributes = k_v86_rights;
    } else if (segment.unusable()) {
        segment.limit = 0xffff;
        segment.attributes = 0x93;
    }
    update_mode(core);
}

namespace {

void load_null(Core& core, SegmentRegister which, uint16_t selector) {
    if (which == k_ss) {
        if (!core.code64 || core.cpl == 3 || selector_rpl(selector) != core.cpl) {
            raise(k_gp, 0);
        }
        core.segment[k_ss] = null_segment(selector, core.cpl);
    } else {
        core.segment[which] = null_segment(selector, 0);
    }
    update_mode(core);
}

void check_stack_segment(const Core& core, Descriptor descriptor, uint16_t selector) {
    if (selector_rpl(selector) != core.cpl || !descriptor.is_writable_data() || descriptor.dpl() != core.cpl) {
        raise(k_gp, selector_error(selector));
    }
    if (!descriptor.present()) {
        raise(k_ss_fault, selector_error(selector));
    }
}

void check_data_segment(const Core& core, Descriptor descriptor, uint16_t selector) {
    if (!descriptor.is_data() && !descriptor.is_readable_code()) {
        raise(k_gp, selector_error(selector));
    }
    const bool protects = !descriptor.is_conforming_code();
    if (protects && (selector_rpl(selector) > descriptor.dpl() || core.cpl > descriptor.dpl())) {
        raise(k_gp, selector_error(selector));
    }
    if (!descriptor.present()) {
        raise(k_np, selector_error(selector));
    }
}

}  // namespace

void load_segment(Core& core, SegmentRegister which, uint16_t selector) {
    if (!core.protected_mode || core.v86) {
        load_segment_real(core, which, selector);
        return;
    }
    if (selector_is_null(selector)) {
        load_null(core, which, selector);
        return;
    }
    std::optional<DescriptorPlace> place = read_descriptor(core, selector);
    if (!place) {
        raise(k_gp, selector_error(selector));
    }
    if (which == k_ss) {
        check_stack_segment(core, place->descriptor, selector);
    } else {
        check_data_segment(core, place->descriptor, selector);
    }
    mark_accessed(core, *place);
    core.segment[which] = segment_of(selector, place->descriptor);
    update_mode(core);
}

namespace {

// LLDT and LTR: the descriptor named by a GDT selector, with the high half in IA-32e mode.
struct SystemSegment {
    DescriptorPlace place;
    uint64_t high = 0;
};

SystemSegment read_system_segment(Core& core, uint16_t selector) {
    const std::optional<DescriptorPlace> place =
        selector_is_local(selector) ? std::nullopt : read_descriptor(core, selector);
    if (!place) {
        raise(k_gp, selector_error(selector));
    }
    SystemSegment found{*place, 0};
    if (core.long_mode_active) {
        const std::optional<uint64_t> high = read_descriptor_high(core, selector, *place);
        constexpr uint64_t k_type_of_high_half = uint64_t{0x1f} << 40;
        if (!high || (*high & k_type_of_high_half) != 0) {
            raise(k_gp, selector_error(selector));
        }
        found.high = *high & 0xffff'ffff;
    }
    return found;
}

void check_canonical_base(const Segment& segment) {
    if (!is_canonical(segment.base)) {
        raise(k_gp, selector_error(segment.selector));
    }
}

}  // namespace

void load_ldt(Core& core, uint16_t selector) {
    if (selector_is_null(selector)) {
        core.ldtr = null_segment(selector, 0);
        return;
    }
    const SystemSegment found = read_system_segment(core, selector);
    if (!found.place.descriptor.is_system(k_ldt)) {
        raise(k_gp, selector_error(selector));
    }
    if (!found.place.descriptor.present()) {
        raise(k_np, selector_error(selector));
    }
    const Segment segment = segment_of(selector, found.place.descriptor, found.high);
    check_canonical_base(segment);
    core.ldtr = segment;
}

void load_task_register(Core& core, uint16_t selector) {
    if (selector_is_null(selector)) {
        raise(k_gp, 0);
    }
    const SystemSegment found = read_system_segment(core, selector);
    Descriptor descriptor = found.place.descriptor;
    const bool available = descriptor.is_system(k_tss32_available) ||
                           (!core.long_mode_active && descriptor.is_system(k_tss16_available));
    if (!available) {
        raise(k_gp, selector_error(selector));
    }
    if (!descriptor.present()) {
        raise(k_np, selector_error(selector));
    }
    descriptor.raw |= k_descriptor_busy;
    const Segment segment = segment_of(selector, descriptor, found.high);
    check_canonical_base(segment);
    write_linear(core, found.place.linear + 5, 1, (descriptor.raw >> 40) & 0xff, k_as_supervisor);
    core.tr = segment;
}

namespace {

// The descriptor that LAR, LSL, VERR and VERW may look at: visible at CPL and RPL.
std::optional<Descriptor> visible_descriptor(Core& core, uint16_t selector) {
    if (selector_is_null(selector)) {
        return std::nullopt;
    }
    const std::optional<DescriptorPlace> place = read_descriptor(core, selector);
    if (!place) {
        return std::nullopt;
    }
    const Descriptor descriptor = place->descriptor;
    const bool hidden = core.cpl > descriptor.dpl() || selector_rpl(selector) > descriptor.dpl();
    if (!descriptor.is_conforming_code() && hidden) {
        return std::nullopt;
    }
    return descriptor;
}

}  // namespace

std::optional<uint32_t> access_rights(Core& core, uint16_t selector) {
    const std::optional<Descriptor> descriptor = visible_descriptor(core, selector);
    if (!descriptor || (!descriptor->is_code_or_data() && !lar_accepts(descriptor->type(), core.long_mode_active))) {
        return std::nullopt;
    }
    return static_cast<uint32_t>(descriptor->raw >> 32) & 0x00ff'ff00;
}

std::optional<uint32_t> segment_limit(Core& core, uint16_t selector) {
    const std::optional<Descriptor> descriptor = visible_descriptor(core, selector);
    if (!descriptor || (!descriptor->is_code_or_data() && !lsl_accepts(descriptor->type(), core.long_mode_active))) {
        return std::nullopt;
    }
    return descriptor->limit();
}

bool verify_segment(Core& core, uint16_t selector, VerifyFor purpose) {
    const std::optional<Descriptor> descriptor = visible_descriptor(core, selector);
    if (!descriptor) {
        return false;
    }
    return purpose == VerifyFor::write ? descriptor->is_writable_data()
                                       : descriptor->is_data() || descriptor->is_readable_code();
}

// SDM 1, 18.5.2.
void check_io_permission(Core& core, uint16_t port, unsigned size) {
    const unsigned iopl = (core.rflags_rest >> 12) & 3;
    if (!core.protected_mode || (!core.v86 && core.cpl <= iopl)) {
        return;
    }
    constexpr uint32_t k_map_base_field = 0x66;
    const bool has_map = (core.tr.type() & ~2U) == k_tss32_available && core.tr.limit >= k_map_base_field + 1;
    if (!has_map) {
        raise(k_gp, 0);
    }
    const uint64_t map = read_linear(core, core.tr.base + k_map_base_field, 2, k_as_supervisor);
    const uint64_t offset = map + port / 8;
    if (offset + 1 > core.tr.limit) {
        raise(k_gp, 0);
    }
    const uint64_t two_bytes = read_linear(core, core.tr.base + offset, 2, k_as_supervisor);
    if (((two_bytes >> (port % 8)) & ((1U << size) - 1)) != 0) {
        raise(k_gp, 0);
    }
}

}  // namespace skep::interp
