// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/cpu/cpu_state.hpp"

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint32_t k_data_rw_accessed = 0x93;  // present, S, read/write data, accessed
constexpr uint32_t k_code_rx_accessed = 0x9b;
constexpr uint32_t k_ldt_present = 0x82;
constexpr uint32_t k_tss_busy_present = 0x8b;

void reset_segments_and_control(CpuState& state, uint32_t cpuid_signature) {
    state.gpr = {};
    state.gpr[k_rdx] = cpuid_signature;
    state.rip = 0xfff0;
    state.rflags = 2;
    for (Segment& segment : state.segment) {
        segment = {.base = 0, .limit = 0xffff, .attributes = k_data_rw_accessed, .selector = 0};
    }
    state.segment[k_cs] = {.base = 0xffff0000, .limit = 0xffff, .attributes = k_code_rx_accessed, .selector = 0xf000};
    state.ldtr = {.base = 0, .limit = 0xffff, .attributes = k_ldt_present, .selector = 0};
    state.tr = {.base = 0, .limit = 0xffff, .attributes = k_tss_busy_present, .selector = 0};
    state.gdtr = {};
    state.idtr = {};
    state.cr2 = state.cr3 = state.cr4 = 0;
    state.dr = {};
    state.dr6 = 0xffff'0ff0;
    state.dr7 = 0x400;
    state.msr.efer = 0;
    state.msr.debugctl = 0;
    state.msr.kvm_system_time = 0;
    state.interrupt_shadow_sti = state.interrupt_shadow_movss = state.nmi_blocked = state.nmi_pending = false;
    state.pending_debug = 0;
    state.queued_interrupt.reset();
}

}  // namespace

CpuState reset_cpu_state(uint32_t cpuid_signature) {
    CpuState state;
    reset_segments_and_control(state, cpuid_signature);
    state.cr0 = 0x6000'0010;
    state.xcr0 = 1;
    state.activity = Activity::running;
    store_le<uint16_t>(&state.xsave[0], 0x37f);    // FCW after FNINIT; reset itself leaves 0x40, which no software sees
    store_le<uint32_t>(&state.xsave[24], 0x1f80);  // MXCSR
    return state;
}

void init_cpu_state(CpuState& state, uint32_t cpuid_signature) {
    const uint64_t cache_bits = state.cr0 & 0x6000'0000;
    reset_segments_and_control(state, cpuid_signature);
    state.cr0 = 0x10 | cache_bits;
}

void start_at_sipi_vector(CpuState& state, uint8_t vector) {
    state.segment[k_cs].selector = static_cast<uint16_t>(vector << 8);
    state.segment[k_cs].base = uint64_t{vector} << 12;
    state.rip = 0;
    state.activity = Activity::running;
}

}  // namespace skep
