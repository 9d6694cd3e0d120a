// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/kvm/kvm_state.hpp"

#include <linux/kvm.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "vmm/base/bits.hpp"
#include "vmm/kvm/kvm_fd.hpp"

namespace skep::kvm {
namespace {

struct MsrField {
    uint32_t index;
    uint64_t MsrState::*field;
};
constexpr std::array k_msrs{
    MsrField{0xc000'0081, &MsrState::star},         MsrField{0xc000'0082, &MsrState::lstar},
    MsrField{0xc000'0083, &MsrState::cstar},        MsrField{0xc000'0084, &MsrState::sfmask},
    MsrField{0xc000'0102, &MsrState::kernel_gs_base}, MsrField{0x174, &MsrState::sysenter_cs},
    MsrField{0x175, &MsrState::sysenter_esp},       MsrField{0x176, &MsrState::sysenter_eip},
    MsrField{0x277, &MsrState::pat},                MsrField{0xc000'0103, &MsrState::tsc_aux},
    MsrField{0x1a0, &MsrState::misc_enable},        MsrField{0x2ff, &MsrState::mtrr_def_type},
    MsrField{0x1d9, &MsrState::debugctl},           MsrField{0x4b56'4d01, &MsrState::kvm_system_time},
};
constexpr std::array<uint32_t, 11> k_fixed_mtrrs{0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
constexpr uint32_t k_first_variable_mtrr = 0x200;
constexpr uint32_t k_msr_tsc = 0x10;

Segment from_kvm(const kvm_segment& from) {
    Segment to;
    to.base = from.base;
    to.limit = from.limit;
    to.selector = from.selector;
    to.attributes = static_cast<uint32_t>(from.type) | from.s << 4U | from.dpl << 5U | from.present << 7U |
                    from.avl << 12U | from.l << 13U | from.db << 14U | from.g << 15U | from.unusable << 16U;
    return to;
}

kvm_segment to_kvm(const Segment& from) {
    kvm_segment to{};
    to.base = from.base;
    to.limit = from.limit;
    to.selector = from.selector;
    to.type = static_cast<uint8_t>(from.type());
    to.s = static_cast<uint8_t>(bits(from.attributes, 4, 1));
    to.dpl = static_cast<uint8_t>(from.dpl());
    to.present = static_cast<uint8_t>(bits(from.attributes, 7, 1));
    to.avl = static_cast<uint8_t>(bits(from.attributes, 12, 1));
    to.l = static_cast<uint8_t>(bits(from.attributes, 13, 1));
    to.db = static_cast<uint8_t>(bits(from.attributes, 14, 1));
    to.g = static_cast<uint8_t>(bits(from.attributes, 15, 1));
    to.unusable = static_cast<uint8_t>(bits(from.attributes, 16, 1));
    return to;
}

// KVM's order of kvm_regs is RAX RBX RCX RDX RSI RDI RSP RBP R8..R15.
struct GprField {
    Gpr gpr;
    __u64 kvm_regs::*field;
};
constexpr std::array<GprField, 16> k_gprs{{{k_rax, &kvm_regs::rax}, {k_rbx, &kvm_regs::rbx}, {k_rcx, &kvm_regs::rcx},
                                           {k_rdx, &kvm_regs::rdx}, {k_rsi, &kvm_regs::rsi}, {k_rdi, &kvm_regs::rdi},
                                           {k_rsp, &kvm_regs::rsp}, {k_rbp, &kvm_regs::rbp}, {k_r8, &kvm_regs::r8},
                                           {k_r9, &kvm_regs::r9},   {k_r10, &kvm_regs::r10}, {k_r11, &kvm_regs::r11},
                                           {k_r12, &kvm_regs::r12}, {k_r13, &kvm_regs::r13}, {k_r14, &kvm_regs::r14},
                                           {k_r15, &kvm_regs::r15}}};

struct SegmentField {
    SegmentRegister segment;
    kvm_segment kvm_sregs::*field;
};
constexpr std::array<SegmentField, 6> k_segments{{{k_es, &kvm_sregs::es}, {k_cs, &kvm_sregs::cs}, {k_ss, &kvm_sregs::ss},
                                                  {k_ds, &kvm_sregs::ds}, {k_fs, &kvm_sregs::fs}, {k_gs, &kvm_sregs::gs}}};

// One MSR a call: a longer list stops at the first that the host does not know.
void set_msr(int vcpu, uint32_t index, uint64_t value) {
    OneMsr msr;
    msr.entry.index = index;
    msr.entry.data = value;
    ioctl(vcpu, k_set_msrs, &msr);
}

uint64_t get_msr(int vcpu, uint32_t index, uint64_t otherwise) {
    OneMsr msr;
    msr.entry.index = index;
    return ioctl(vcpu, k_get_msrs, &msr) == 1 ? msr.entry.data : otherwise;
}

Status save_system(int vcpu, CpuState& state) {
    kvm_sregs system{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_SREGS, &system); !got) {
        return tl::unexpected(got.error());
    }
    for (const SegmentField& field : k_segments) {
        state.segment[field.segment] = from_kvm(system.*field.field);
    }
    state.ldtr = from_kvm(system.ldt);
    state.tr = from_kvm(system.tr);
    state.gdtr = {system.gdt.base, system.gdt.limit};
    state.idtr = {system.idt.base, system.idt.limit};
    state.cr0 = system.cr0;
    state.cr2 = system.cr2;
    state.cr3 = system.cr3;
    state.cr4 = system.cr4;
    state.msr.efer = system.efer;
    return {};
}

Status load_system(int vcpu, const CpuState& state) {
    kvm_sregs system{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_SREGS, &system); !got) {
        return tl::unexpected(got.error());
    }
    for (const SegmentField& field : k_segments) {
        system.*field.field = to_kvm(state.segment[field.segment]);
    }
    system.ldt = to_kvm(state.ldtr);
    system.tr = to_kvm(state.tr);
    system.gdt = {state.gdtr.base, state.gdtr.limit, {}};
    system.idt = {state.idtr.base, state.idtr.limit, {}};
    system.cr0 = state.cr0;
    system.cr2 = state.cr2;
    system.cr3 = state.cr3;
    system.cr4 = state.cr4;
    system.efer = state.msr.efer;
    std::memset(system.interrupt_bitmap, 0, sizeof system.interrupt_bitmap);
    if (auto set = SKEP_KVM_CALL(vcpu, KVM_SET_SREGS, &system); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

Status save_vector(int vcpu, CpuState& state) {
    XsaveArea vector;
    if (auto got = SKEP_KVM_CALL(vcpu, k_get_xsave, &vector); !got) {
        return tl::unexpected(got.error());
    }
    std::memcpy(state.xsave.data(), vector.region.data(), state.xsave.size());
    kvm_xcrs control{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_XCRS, &control); got && control.nr_xcrs > 0) {
        state.xcr0 = control.xcrs[0].value;
    }
    return {};
}

Status load_vector(int vcpu, const CpuState& state) {
    kvm_xcrs control{};
    control.nr_xcrs = 1;
    control.xcrs[0].value = state.xcr0;
    ioctl(vcpu, KVM_SET_XCRS, &control);  // a host without XSAVE has none
    XsaveArea vector;
    std::memcpy(vector.region.data(), state.xsave.data(), state.xsave.size());
    if (auto set = SKEP_KVM_CALL(vcpu, k_set_xsave, &vector); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

void save_msrs(int vcpu, CpuState& state) {
    for (const MsrField& msr : k_msrs) {
        state.msr.*msr.field = get_msr(vcpu, msr.index, state.msr.*msr.field);
    }
    for (size_t index = 0; index < k_fixed_mtrrs.size(); ++index) {
        state.msr.mtrr_fixed[index] = get_msr(vcpu, k_fixed_mtrrs[index], 0);
    }
    for (uint32_t index = 0; index < state.msr.mtrr_variable.size(); ++index) {
        state.msr.mtrr_variable[index] = get_msr(vcpu, k_first_variable_mtrr + index, 0);
    }
    state.tsc = get_msr(vcpu, k_msr_tsc, 0);
}

void load_msrs(int vcpu, const CpuState& state) {
    for (const MsrField& msr : k_msrs) {
        set_msr(vcpu, msr.index, state.msr.*msr.field);
    }
    for (size_t index = 0; index < k_fixed_mtrrs.size(); ++index) {
        set_msr(vcpu, k_fixed_mtrrs[index], state.msr.mtrr_fixed[index]);
    }
    for (uint32_t index = 0; index < state.msr.mtrr_variable.size(); ++index) {
        set_msr(vcpu, k_first_variable_mtrr + index, state.msr.mtrr_variable[index]);
    }
}

Status save_events(int vcpu, CpuState& state) {
    kvm_vcpu_events events{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_VCPU_EVENTS, &events); !got) {
        return tl::unexpected(got.error());
    }
    state.nmi_blocked = events.nmi.masked != 0;
    state.nmi_pending = events.nmi.pending != 0 || events.nmi.injected != 0;
    state.pending_debug = 0;  // KVM keeps it in RFLAGS.TF and DR6
    state.queued_interrupt.reset();
    if (events.interrupt.injected != 0 && events.interrupt.soft == 0) {  // a soft one comes again from its instruction
        state.queued_interrupt = events.interrupt.nr;
    }
    state.interrupt_shadow_sti = (events.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0;
    state.interrupt_shadow_movss = (events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
    return {};
}

Status load_events(int vcpu, const CpuState& state) {
    kvm_vcpu_events events{};
    events.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
    constexpr uint8_t k_debug_exception = 1;
    events.exception.injected = state.pending_debug != 0 ? 1 : 0;
    events.exception.nr = state.pending_debug != 0 ? k_debug_exception : 0;
    events.nmi.masked = state.nmi_blocked ? 1 : 0;
    events.nmi.pending = state.nmi_pending ? 1 : 0;
    events.interrupt.injected = state.queued_interrupt ? 1 : 0;
    events.interrupt.nr = state.queued_interrupt.value_or(0);
    events.interrupt.shadow = static_cast<uint8_t>((state.interrupt_shadow_sti ? KVM_X86_SHADOW_INT_STI : 0) |
                                                   (state.interrupt_shadow_movss ? KVM_X86_SHADOW_INT_MOV_SS : 0));
    if (auto set = SKEP_KVM_CALL(vcpu, KVM_SET_VCPU_EVENTS, &events); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

}  // namespace

Status set_apic_base(int vcpu, uint64_t value) {
    kvm_sregs system{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_SREGS, &system); !got) {
        return tl::unexpected(got.error());
    }
    if (system.apic_base == value) {
        return {};
    }
    system.apic_base = value;
    std::memset(system.interrupt_bitmap, 0, sizeof system.interrupt_bitmap);
    if (auto set = SKEP_KVM_CALL(vcpu, KVM_SET_SREGS, &system); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

Status save_state(int vcpu, CpuState& state) {
    kvm_regs registers{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_REGS, &registers); !got) {
        return tl::unexpected(got.error());
    }
    for (const GprField& field : k_gprs) {
        state.gpr[field.gpr] = registers.*field.field;
    }
    state.rip = registers.rip;
    state.rflags = registers.rflags;
    kvm_debugregs debug{};
    if (auto got = SKEP_KVM_CALL(vcpu, KVM_GET_DEBUGREGS, &debug); got) {
        std::copy(std::begin(debug.db), std::end(debug.db), state.dr.begin());
        state.dr6 = debug.dr6;
        state.dr7 = debug.dr7;
    }
    if (Status saved = save_system(vcpu, state); !saved) {
        return saved;
    }
    if (Status saved = save_vector(vcpu, state); !saved) {
        return saved;
    }
    save_msrs(vcpu, state);
    return save_events(vcpu, state);
}

Status load_state(int vcpu, const CpuState& state) {
    if (Status loaded = load_system(vcpu, state); !loaded) {
        return loaded;
    }
    if (Status loaded = load_vector(vcpu, state); !loaded) {
        return loaded;
    }
    load_msrs(vcpu, state);
    if (Status loaded = load_events(vcpu, state); !loaded) {
        return loaded;
    }
    kvm_debugregs debug{};
    std::copy(state.dr.begin(), state.dr.end(), std::begin(debug.db));
    debug.dr6 = state.dr6 | state.pending_debug;
    debug.dr7 = state.dr7;
    ioctl(vcpu, KVM_SET_DEBUGREGS, &debug);
    kvm_regs registers{};
    for (const GprField& field : k_gprs) {
        registers.*field.field = state.gpr[field.gpr];
    }
    registers.rip = state.rip;
    registers.rflags = state.rflags;
    if (auto set = SKEP_KVM_CALL(vcpu, KVM_SET_REGS, &registers); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

}  // namespace skep::kvm
