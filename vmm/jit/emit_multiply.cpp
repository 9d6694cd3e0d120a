// SPDX-License-Identifier: GPL-3.0-or-later
// MUL IMUL DIV IDIV MULX (SDM 2): the accumulator is the host's own for the moment, rdx is at home.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;

bool usable(const Emitter& e, unsigned i) {
    return e.is_memory(i) ? e.can_address(i) : !is_high_byte(e.reg(i));
}
bool explicit_operand_is_usable(const Emitter& e) { return usable(e, 0); }

// The factor or divisor as an operand that is not rax: memory at [rcx], or a register (rcx when it lives in memory).
asmjit::Operand source(Emitter& e, unsigned i) {
    if (e.is_memory(i)) {
        return e.access(i);
    }
    return e.read(e.reg(i), rcx);
}

void store_accumulator(Emitter& e) {
    const unsigned size = e.size_of(0);
    if (size <= 2) {
        e.a.mov(k_guest_rax.r16(), x86asm::ax);  // of bytes too: AX is the result, or quotient and remainder
    } else {
        e.a.mov(k_guest_rax, rax);
    }
}

bool emit_multiply(Emitter& e, InstId id) {
    if (!explicit_operand_is_usable(e)) {
        return false;
    }
    const asmjit::Operand factor = source(e, 0);
    e.want_flags();
    e.a.mov(rax, k_guest_rax);
    e.a.emit(id, factor);
    store_accumulator(e);
    e.flags_written();
    return true;
}

bool emit_signed_multiply(Emitter& e, InstId id) {
    return e.operand_count() > 1 ? emit_same(e, id) : emit_multiply(e, id);
}

// DIV would fault on the host when the quotient does not fit: when rdx is not below the divisor.
bool emit_divide(Emitter& e, InstId id) {
    const unsigned size = e.size_of(0);
    if (size < 4 || !explicit_operand_is_usable(e)) {
        return false;
    }
    e.clobber_flags();
    const asmjit::Operand divisor = source(e, 0);
    e.a.emit(Inst::kIdCmp, gp_of_size(x86asm::rdx.id(), size), divisor);
    e.a.jae(e.slow());
    e.a.mov(rax, k_guest_rax);
    e.a.emit(id, divisor);
    store_accumulator(e);
    e.flags_written();
    return true;
}

// IDIV: only with a dividend that is a sign-extended half and a divisor that is neither 0 nor -1, so that the quotient
// fits for certain. Anything else is seldom.
bool emit_signed_divide(Emitter& e, InstId id) {
    const unsigned size = e.size_of(0);
    if (size < 4 || !explicit_operand_is_usable(e)) {
        return false;
    }
    e.clobber_flags();
    const asmjit::Operand divisor = source(e, 0);
    const x86asm::Gp low = gp_of_size(rax.id(), size);
    e.a.emit(Inst::kIdMov, low, divisor);
    e.a.add(low, 1);
    e.a.cmp(low, 1);
    e.a.jbe(e.slow());
    e.a.mov(rax, k_guest_rax);
    e.a.sar(low, size * 8 - 1);
    e.a.cmp(low, gp_of_size(x86asm::rdx.id(), size));
    e.a.jne(e.slow());
    e.a.mov(rax, k_guest_rax);
    e.a.emit(id, divisor);
    store_accumulator(e);
    e.flags_written();
    return true;
}

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_MUL, emit_multiply, Inst::kIdMul},
    {ZYDIS_MNEMONIC_IMUL, emit_signed_multiply, Inst::kIdImul},
    {ZYDIS_MNEMONIC_DIV, emit_divide, Inst::kIdDiv},
    {ZYDIS_MNEMONIC_IDIV, emit_signed_divide, Inst::kIdIdiv},
    {ZYDIS_MNEMONIC_MULX, emit_same, Inst::kIdMulx},
};

}  // namespace

std::span<const EmitLine> multiply_lines() { return k_lines; }

}  // namespace skep::jit
