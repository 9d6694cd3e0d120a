// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/unit_thunks.hpp"

#include "vmm/interp/vector_state.hpp"

namespace skep::jit {
namespace {

using namespace asmjit::x86;

constexpr unsigned k_vector_registers = 16;
constexpr uint32_t k_xcr0_sse_avx = 6, k_x87_component = 1;
constexpr uint32_t k_x87_masks = 0x3f;

Mem slot(const void* place, unsigned bytes) { return ptr_abs(reinterpret_cast<uintptr_t>(place), bytes); }
Mem image(const Places& places, unsigned at, unsigned bytes) { return slot(places.core->xsave.data() + at, bytes); }

}  // namespace

void emit_vectors_to_sleep(Assembler& a, const Places& places) {
    for (unsigned i = 0; i < k_vector_registers; ++i) {
        a.vmovaps(image(places, interp::k_xmm_at + 16 * i, 16), xmm(i));
        a.vextractf128(image(places, interp::k_ymm_high_at + 16 * i, 16), ymm(i), 1);
    }
    a.stmxcsr(image(places, interp::k_mxcsr_at, 4));
    a.ldmxcsr(slot(&places.runtime->host_mxcsr, 4));
    a.vzeroupper();
    a.mov(slot(&places.runtime->vectors_asleep, 4), 1);
    a.mov(slot(&places.runtime->avx_asleep, 4), 1);
}

void emit_wake_vectors(Assembler& a, const Places& places) {
    const asmjit::Label done = a.newLabel();
    const interp::Core& core = *places.core;
    a.cmp(slot(&places.runtime->vectors_asleep, 4), 0);
    a.je(done);
    a.test(slot(&core.cr0, 4), static_cast<uint32_t>(interp::k_cr0_em | interp::k_cr0_ts));
    a.jne(done);
    a.test(slot(&core.cr4, 4), static_cast<uint32_t>(interp::k_cr4_osfxsr));
    a.je(done);
    a.mov(eax, image(places, interp::k_mxcsr_at, 4));
    a.and_(eax, interp::k_mxcsr_masks);
    a.cmp(eax, interp::k_mxcsr_masks);
    a.jne(done);
    for (unsigned i = 0; i < k_vector_registers; ++i) {
        a.vmovaps(xmm(i), image(places, interp::k_xmm_at + 16 * i, 16));
        a.vinsertf128(ymm(i), ymm(i), image(places, interp::k_ymm_high_at + 16 * i, 16), 1);
    }
    a.ldmxcsr(image(places, interp::k_mxcsr_at, 4));
    a.mov(slot(&places.runtime->vectors_asleep, 4), 0);
    a.test(slot(&core.cr4, 4), static_cast<uint32_t>(interp::k_cr4_osxsave));
    a.je(done);
    a.mov(eax, slot(&core.xcr0, 4));
    a.and_(eax, k_xcr0_sse_avx);
    a.cmp(eax, k_xcr0_sse_avx);
    a.jne(done);
    a.mov(slot(&places.runtime->avx_asleep, 4), 0);
    a.bind(done);
}

void emit_x87_to_sleep(Assembler& a, const Places& places) {
    Runtime& runtime = *places.runtime;
    a.mov(slot(&runtime.unit_rax, 8), rax);
    a.mov(slot(&runtime.unit_rdx, 8), rdx);
    a.mov(eax, k_x87_component);
    a.mov(edx, 0);
    a.xsave64(slot(places.core->xsave.data(), 0));
    a.mov(rax, slot(&runtime.fip, 8));
    a.mov(image(places, interp::k_fip_at, 8), rax);
    a.mov(rax, slot(&runtime.fdp, 8));
    a.mov(image(places, interp::k_fdp_at, 8), rax);
    a.mov(eax, slot(&runtime.fop, 4));
    a.mov(image(places, interp::k_fop_at, 2), ax);
    a.fninit();
    a.mov(slot(&runtime.x87_asleep, 4), 1);
    a.mov(rdx, slot(&runtime.unit_rdx, 8));
    a.mov(rax, slot(&runtime.unit_rax, 8));
}

void emit_wake_x87(Assembler& a, const Places& places) {
    Runtime& runtime = *places.runtime;
    const interp::Core& core = *places.core;
    const asmjit::Label done = a.newLabel();
    a.cmp(slot(&runtime.x87_asleep, 4), 0);
    a.je(done);
    a.test(slot(&core.cr0, 4), static_cast<uint32_t>(interp::k_cr0_em | interp::k_cr0_ts));
    a.jne(done);
    a.test(image(places, interp::k_fsw_at, 2), interp::k_fsw_es);
    a.jne(done);
    a.movzx(eax, image(places, interp::k_fcw_at, 2));
    a.and_(eax, k_x87_masks);
    a.cmp(eax, k_x87_masks);
    a.jne(done);
    a.mov(rax, image(places, interp::k_fip_at, 8));
    a.mov(slot(&runtime.fip, 8), rax);
    a.mov(rax, image(places, interp::k_fdp_at, 8));
    a.mov(slot(&runtime.fdp, 8), rax);
    a.movzx(eax, image(places, interp::k_fop_at, 2));
    a.mov(slot(&runtime.fop, 8), rax);
    a.mov(image(places, interp::k_xstate_bv_at, 8), k_x87_component);
    a.mov(slot(&runtime.unit_rdx, 8), rdx);
    a.mov(eax, k_x87_component);
    a.xor_(edx, edx);
    a.xrstor64(slot(core.xsave.data(), 0));
    a.mov(rdx, slot(&runtime.unit_rdx, 8));
    a.mov(slot(&runtime.x87_asleep, 4), 0);
    a.bind(done);
}

}  // namespace skep::jit
