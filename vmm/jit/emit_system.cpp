// SPDX-License-Identifier: GPL-3.0-or-later
// System instructions that a kernel runs all the time (SDM 2). Whatever is not plain about one of them, an event that
// becomes due, a privilege that is missing, is the interpreter's.
#include <array>

#include "vmm/interp/vm.hpp"
#include "vmm/jit/emitter.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::al;
using x86asm::ax;
using x86asm::eax;
using x86asm::ecx;
using x86asm::edx;
using x86asm::rax;
using x86asm::rcx;
using x86asm::rdx;

constexpr uint32_t k_carried = x86::k_flag_if | x86::k_flag_df;  // by POPF here, beside the arithmetic flags
constexpr uint32_t k_not_carried = x86::k_flag_tf | x86::k_flag_nt | x86::k_flag_ac | x86::k_flag_id | x86::k_flag_iopl |
                                   x86::k_flag_rf;
constexpr uint32_t k_not_pushed = x86::k_flag_vm | x86::k_flag_rf;

void need_ring0(Emitter& e) {
    e.clobber_flags();
    e.a.cmp(e.slot(&e.core().cpl, 1), 0);
    e.a.jne(e.slow());
}

// Interrupts are let in: one may be waiting.
void need_nothing_waiting(Emitter& e) {
    e.a.cmp(e.slot(&e.core().interrupt_maybe, 1), 0);
    e.a.jne(e.slow());
    e.a.cmp(e.slot(&e.core().nmi_pending, 1), 0);
    e.a.jne(e.slow());
}

x86asm::Mem rflags(Emitter& e) { return e.slot(&e.core().rflags_rest, 4); }

bool emit_cli(Emitter& e, InstId) {
    need_ring0(e);
    e.a.and_(rflags(e), ~static_cast<uint32_t>(x86::k_flag_if));
    return true;
}

// Its shadow hides nothing when nothing waits: but what comes between it and a HLT would be slept through, so that the two
// must not be parted.
bool emit_sti(Emitter& e, InstId) {
    if (e.ends_block()) {
        return false;
    }
    need_ring0(e);
    need_nothing_waiting(e);
    e.a.or_(rflags(e), static_cast<uint32_t>(x86::k_flag_if));
    return true;
}

bool emit_direction(Emitter& e, InstId) {
    e.clobber_flags();
    if (e.one().decoded.mnemonic == ZYDIS_MNEMONIC_CLD) {
        e.a.and_(rflags(e), ~static_cast<uint32_t>(x86::k_flag_df));
    } else {
        e.a.or_(rflags(e), static_cast<uint32_t>(x86::k_flag_df));
    }
    return true;
}

// STAC, CLAC: another set of the TLB (interp/core.hpp).
bool emit_access_check(Emitter& e, InstId) {
    interp::Core& core = e.core();
    const bool lifts = e.one().decoded.mnemonic == ZYDIS_MNEMONIC_STAC;
    need_ring0(e);
    if (lifts) {
        e.a.or_(rflags(e), static_cast<uint32_t>(x86::k_flag_ac));
    } else {
        e.a.and_(rflags(e), ~static_cast<uint32_t>(x86::k_flag_ac));
    }
    const auto& set = core.tlb_sets[lifts ? interp::k_as_supervisor_ac : interp::k_as_supervisor];
    e.a.mov(rax, asmjit::imm(reinterpret_cast<uintptr_t>(set.data())));
    e.a.mov(e.slot(&core.tlb), rax);
    return true;
}

bool emit_swapgs(Emitter& e, InstId) {
    interp::Core& core = e.core();
    need_ring0(e);
    e.a.mov(rax, e.slot(&core.segment_base[k_gs]));
    e.a.mov(rcx, e.slot(&core.msr.kernel_gs_base));
    e.a.mov(e.slot(&core.msr.kernel_gs_base), rax);
    e.a.mov(e.slot(&core.segment_base[k_gs]), rcx);
    e.a.mov(e.slot(&core.segment[k_gs].base), rcx);
    return true;
}

bool emit_pushf(Emitter& e, InstId) {
    const int word = static_cast<int>(e.word());
    if (!e.has_word_operands()) {
        return false;
    }
    const auto status = reinterpret_cast<const std::byte*>(&e.core().status);
    e.store_flags();
    e.a.movzx(eax, e.slot(status, 1));
    e.a.and_(eax, 1);
    e.a.shl(eax, 11);
    e.a.movzx(ecx, e.slot(status + 1, 1));
    e.a.and_(ecx, 0xd5);
    e.a.or_(eax, ecx);
    e.a.or_(eax, rflags(e));
    e.a.and_(eax, ~k_not_pushed);
    e.a.mov(e.slot(&e.runtime().spare), rax);
    const x86asm::Mem to = e.access_stack(k_guest_rsp, -word, Emitter::AccessKind::write);
    e.a.mov(rax, e.slot(&e.runtime().spare));
    e.a.mov(to, e.as_word(rax));
    e.move_stack(-word);
    return true;
}

bool emit_popf(Emitter& e, InstId) {
    if (!e.has_word_operands()) {
        return false;
    }
    const asmjit::Label closed = e.a.newLabel();
    need_ring0(e);
    const x86asm::Mem from = e.access_stack(k_guest_rsp, 0, Emitter::AccessKind::read);
    e.a.mov(e.as_word(rax), from);
    e.a.mov(ecx, eax);
    e.a.xor_(ecx, rflags(e));
    e.a.test(ecx, k_not_carried);
    e.a.jne(e.slow());
    e.a.test(eax, static_cast<uint32_t>(x86::k_flag_if));
    e.a.je(closed);
    need_nothing_waiting(e);
    e.a.bind(closed);
    e.a.mov(ecx, eax);
    e.a.and_(ecx, k_carried);
    e.a.and_(rflags(e), ~k_carried);
    e.a.or_(rflags(e), ecx);
    e.a.mov(ecx, eax);
    e.a.shl(ecx, 8);
    e.a.and_(ecx, 0xd500);
    e.a.shr(eax, 11);
    e.a.and_(eax, 1);
    e.a.lea(eax, x86asm::ptr(rax, rcx, 0, 0x200));
    e.a.mov(e.slot(&e.core().status, 2), ax);
    e.move_stack(static_cast<int>(e.word()));
    e.flags_in_memory();
    return true;
}

// RDTSC, RDTSCP.
bool emit_read_tsc(Emitter& e, InstId) {
    interp::Core& core = e.core();
    const auto parts = core.vm->tsc().parts();
    if (!parts || core.vm->has_witness()) {
        return false;
    }
    const bool with_aux = e.one().decoded.mnemonic == ZYDIS_MNEMONIC_RDTSCP;
    e.clobber_flags();
    e.a.test(e.slot(&core.cr4, 4), static_cast<uint32_t>(x86::k_cr4_tsd));
    e.a.jne(e.slow());
    e.a.mov(rax, asmjit::imm(reinterpret_cast<uintptr_t>(parts->paused_at)));
    e.a.cmp(x86asm::qword_ptr(rax), 0);
    e.a.jne(e.slow());
    if (with_aux) {
        e.a.rdtscp();
        e.a.mov(k_guest_rcx.r32(), e.slot(&core.msr.tsc_aux, 4));
    } else {
        e.a.rdtsc();
    }
    e.a.shl(rdx, 32);
    e.a.or_(rdx, rax);
    e.a.mov(rax, asmjit::imm(reinterpret_cast<uintptr_t>(parts->offset)));
    e.a.sub(rdx, x86asm::qword_ptr(rax));
    e.a.add(rdx, e.slot(&core.msr.tsc_adjust));
    e.a.mov(k_guest_rax.r32(), edx);
    e.a.shr(rdx, 32);
    return true;
}

// PAUSE. With other processors there, one that goes on and on has to stop for a while (spin_patience.hpp).
bool emit_pause(Emitter& e, InstId) {
    e.a.pause();
    if (e.core().vm->config().cpu_count > 1 && !e.core().vm->has_witness()) {
        e.clobber_flags();
        e.a.sub(e.slot(&e.runtime().pauses_left, 4), 1);
        e.a.je(e.slow());
    }
    return true;
}

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_PAUSE, emit_pause, Inst::kIdPause},
    {ZYDIS_MNEMONIC_CLI, emit_cli, Inst::kIdCli},
    {ZYDIS_MNEMONIC_STI, emit_sti, Inst::kIdSti},
    {ZYDIS_MNEMONIC_CLD, emit_direction, Inst::kIdCld},
    {ZYDIS_MNEMONIC_STD, emit_direction, Inst::kIdStd},
    {ZYDIS_MNEMONIC_STAC, emit_access_check, Inst::kIdStac},
    {ZYDIS_MNEMONIC_CLAC, emit_access_check, Inst::kIdClac},
    {ZYDIS_MNEMONIC_SWAPGS, emit_swapgs, Inst::kIdSwapgs},
    {ZYDIS_MNEMONIC_PUSHFQ, emit_pushf, Inst::kIdPushfq},
    {ZYDIS_MNEMONIC_POPFQ, emit_popf, Inst::kIdPopfq},
    {ZYDIS_MNEMONIC_PUSHFD, emit_pushf, Inst::kIdPushfd},
    {ZYDIS_MNEMONIC_POPFD, emit_popf, Inst::kIdPopfd},
    {ZYDIS_MNEMONIC_RDTSC, emit_read_tsc, Inst::kIdRdtsc},
    {ZYDIS_MNEMONIC_RDTSCP, emit_read_tsc, Inst::kIdRdtscp},
};

}  // namespace

std::span<const EmitLine> system_lines() { return k_lines; }

bool is_system(ZydisMnemonic mnemonic) {
    static const auto known = [] {
        std::array<bool, ZYDIS_MNEMONIC_MAX_VALUE + 1> made{};
        for (const EmitLine& line : k_lines) {
            made[line.mnemonic] = true;
        }
        return made;
    }();
    return known[mnemonic];
}

// MOV from a segment register to a general one.
bool emit_read_selector(Emitter& e) {
    const ZydisRegisterClass kind = e.is_register(1) ? ZydisRegisterGetClass(e.reg(1)) : ZYDIS_REGCLASS_INVALID;
    if (kind != ZYDIS_REGCLASS_SEGMENT || !e.is_register(0) || e.size_of(0) < 4) {
        return false;
    }
    const auto which = static_cast<size_t>(ZydisRegisterGetId(e.reg(1)));
    e.a.movzx(e.target(e.reg(0), rax).r32(), e.slot(&e.core().segment[which].selector, 2));
    e.write_back(e.reg(0), rax);
    return true;
}

}  // namespace skep::jit
