// SPDX-License-Identifier: GPL-3.0-or-later
// x87 instructions (SDM 1, chapter 8): the guest's own on the host's unit, a memory operand replaced by the checked [rcx].
// All exceptions are masked while the unit is live, so none is ever pending.
#include "vmm/interp/vector_state.hpp"
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::eax;
using x86asm::rcx;

constexpr unsigned k_rcx_number = 1;
constexpr uint32_t k_exception_masks = 0x3f, k_fcw_fixed = 0x40;

void embed(Emitter& e, unsigned opcode, unsigned modrm) {
    const std::array<uint8_t, 2> bytes{static_cast<uint8_t>(opcode), static_cast<uint8_t>(modrm)};
    e.a.embed(bytes.data(), bytes.size());
}

// What is checked is what is loaded, whatever other processors write meanwhile.
void emit_fldcw(Emitter& e) {
    const x86asm::Mem copy = e.slot(&e.runtime().spare, 4);
    e.clobber_flags();
    e.a.movzx(eax, e.access(0));
    e.a.and_(eax, interp::k_fcw_valid);
    e.a.or_(eax, k_fcw_fixed);
    e.a.mov(copy, eax);
    e.a.not_(eax);
    e.a.test(eax, k_exception_masks);
    e.a.jne(e.slow());
    e.a.fldcw(e.slot(&e.runtime().spare, 2));
}

}  // namespace

bool emit_x87(Emitter& e) {
    const ZydisDecodedInstruction& instruction = e.one().decoded;
    const auto& modrm = instruction.raw.modrm;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_FWAIT: return true;
        case ZYDIS_MNEMONIC_FLDCW: emit_fldcw(e); return true;
        default: break;
    }
    if (e.operand_count() > 0 && e.is_memory(0)) {
        e.a.lea(rcx, e.access(0));
        embed(e, instruction.opcode, modrm.reg << 3U | k_rcx_number);
        return true;
    }
    e.want_flags();
    embed(e, instruction.opcode, 0xc0U | modrm.reg << 3U | modrm.rm);
    if (instruction.mnemonic == ZYDIS_MNEMONIC_FNSTSW) {
        e.a.mov(k_guest_rax.r16(), x86asm::ax);
    }
    e.flags_written();
    return true;
}

}  // namespace skep::jit
