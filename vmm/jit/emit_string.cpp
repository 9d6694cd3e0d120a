// SPDX-License-Identifier: GPL-3.0-or-later
// REP MOVS and REP STOS (SDM 2) whose source and destination lie within a page each: the host's own, on the host's
// addresses. Longer ones, those that go down and those of other segments are the interpreter's.
#include "vmm/jit/emitter.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;
using x86asm::rdi;
using x86asm::rsi;

constexpr unsigned k_page = 4096;

bool is_plain_repeat(const Emitter& e) {
    const ZydisInstructionAttributes attributes = e.one().decoded.attributes;
    constexpr ZydisInstructionAttributes k_segments = ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS;
    return (attributes & ZYDIS_ATTRIB_HAS_REP) != 0 && (attributes & k_segments) == 0 && e.one().decoded.address_width == 64;
}

unsigned shift_of(const Emitter& e) {
    const unsigned bytes = e.one().decoded.operand_width / 8U;
    return bytes == 8 ? 3 : bytes / 2U;
}

void check_count_and_direction(Emitter& e, unsigned shift) {
    e.clobber_flags();
    e.a.cmp(k_guest_rcx, k_page >> shift);
    e.a.ja(e.slow());
    e.a.test(e.slot(&e.core().rflags_rest, 4), static_cast<uint32_t>(x86::k_flag_df));
    e.a.jne(e.slow());
}

// What is to be added to the pointer, which is the address of so many units, goes to `addend`.
void check_block(Emitter& e, const x86asm::Gp& pointer, unsigned shift, Emitter::AccessKind kind, uint64_t& addend) {
    e.a.mov(rcx, pointer);
    e.look_for_page(kind);
    e.a.lea(rcx, x86asm::ptr(rcx, k_guest_rcx, shift));
    e.a.cmp(rcx, k_page);
    e.a.ja(e.slow());
    e.a.mov(e.slot(&addend), rax);
}

bool emit_repeated(Emitter& e, InstId id, bool has_source) {
    if (!is_plain_repeat(e)) {
        return false;
    }
    Runtime& runtime = e.runtime();
    const unsigned shift = shift_of(e);
    const asmjit::Label nothing = e.a.newLabel();
    check_count_and_direction(e, shift);
    e.a.test(k_guest_rcx, k_guest_rcx);
    e.a.je(nothing);
    if (has_source) {
        check_block(e, rsi, shift, Emitter::AccessKind::read, runtime.spare);
    }
    check_block(e, rdi, shift, Emitter::AccessKind::write, runtime.spare2);
    if (has_source) {
        e.a.add(rsi, e.slot(&runtime.spare));
    } else {
        e.a.mov(rax, k_guest_rax);
    }
    e.a.add(rdi, e.slot(&runtime.spare2));
    e.a.mov(rcx, k_guest_rcx);
    const unsigned bytes = 1U << shift;
    if (has_source) {
        e.a.rep().emit(id, x86asm::ptr(rdi, 0, bytes), x86asm::ptr(rsi, 0, bytes));
    } else {
        e.a.rep().emit(id, x86asm::ptr(rdi, 0, bytes), gp_of_size(rax.id(), bytes));
    }
    if (has_source) {
        e.a.sub(rsi, e.slot(&runtime.spare));
    }
    e.a.sub(rdi, e.slot(&runtime.spare2));
    e.a.mov(k_guest_rcx, rcx);
    e.a.bind(nothing);
    return true;
}

bool emit_move(Emitter& e, InstId id) { return emit_repeated(e, id, true); }
bool emit_store(Emitter& e, InstId id) { return emit_repeated(e, id, false); }

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_MOVSB, emit_move, Inst::kIdMovs},  {ZYDIS_MNEMONIC_MOVSW, emit_move, Inst::kIdMovs},
    {ZYDIS_MNEMONIC_MOVSD, emit_move, Inst::kIdMovs},  {ZYDIS_MNEMONIC_MOVSQ, emit_move, Inst::kIdMovs},
    {ZYDIS_MNEMONIC_STOSB, emit_store, Inst::kIdStos}, {ZYDIS_MNEMONIC_STOSW, emit_store, Inst::kIdStos},
    {ZYDIS_MNEMONIC_STOSD, emit_store, Inst::kIdStos}, {ZYDIS_MNEMONIC_STOSQ, emit_store, Inst::kIdStos},
};

}  // namespace

std::span<const EmitLine> string_lines() { return k_lines; }

}  // namespace skep::jit
