// SPDX-License-Identifier: GPL-3.0-or-later
// General integer instructions (SDM 2). Most run as they are.
#include "vmm/interp/flags.hpp"
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;

// MOV of a general register, memory or immediate; others (segment, control registers) are not emitted. A register that
// lives in memory takes part as a memory operand.
bool emit_mov(Emitter& e, InstId id) {
    if (emit_read_selector(e)) {
        return true;
    }
    for (unsigned i = 0; i < 2; ++i) {
        if (e.is_register(i) && guest_number(e.reg(i)) < 0) {
            return false;
        }
    }
    const auto in_memory = [&](unsigned i) {
        return e.is_register(i) && !is_high_byte(e.reg(i)) && !lives_in_host(static_cast<unsigned>(guest_number(e.reg(i))));
    };
    const auto in_host = [&](unsigned i) { return e.is_register(i) && !is_high_byte(e.reg(i)) && !in_memory(i); };
    if (e.size_of(0) == 8 && in_memory(0) && in_host(1)) {
        e.a.mov(e.gpr_slot(static_cast<unsigned>(guest_number(e.reg(0)))), e.target(e.reg(1), rax));
        e.keep_rcx();
        return true;
    }
    if (e.size_of(0) >= 4 && in_host(0) && in_memory(1)) {
        e.a.mov(e.target(e.reg(0), rax), e.gpr_slot(static_cast<unsigned>(guest_number(e.reg(1))), e.size_of(0)));
        e.keep_rcx();
        return true;
    }
    return emit_same(e, id);
}

bool emit_lea(Emitter& e, InstId) {
    if (!e.can_address(1)) {
        return false;
    }
    const x86asm::Gp to = e.target(e.reg(0), rax);
    if (e.size_of(0) == 2) {
        e.effective_address(1, rcx);
        const x86asm::Gp old = e.read(e.reg(0), rax);
        e.a.mov(old, x86asm::cx);
    } else if (e.operand(1).mem.base == ZYDIS_REGISTER_NONE && e.operand(1).mem.index == ZYDIS_REGISTER_NONE) {
        e.effective_address(1, rcx);
        e.a.mov(to, gp_of_size(rcx.id(), e.size_of(0)));
    } else {
        e.effective_address(1, to);
    }
    e.write_back(e.reg(0), rax);
    return true;
}

bool emit_nothing(Emitter&, InstId) { return true; }

// Shifts by CL, whose place is taken: the count goes to the host's rcx, the memory operand's address to rax.
bool emit_shift(Emitter& e, InstId id) {
    if (e.is_immediate(1)) {
        return emit_same(e, id);
    }
    if (e.is_memory(0) ? !e.can_address(0) : is_high_byte(e.reg(0))) {
        return false;
    }
    if (e.is_memory(0)) {
        const x86asm::Mem at = e.access(0);
        e.want_flags();
        e.a.lea(rax, at);
        e.a.mov(rcx, k_guest_rcx);
        e.a.emit(id, x86asm::ptr(rax, 0, e.size_of(0)), x86asm::cl);
    } else {
        e.want_flags();
        e.a.mov(rcx, k_guest_rcx);
        e.a.emit(id, e.read(e.reg(0), rax), x86asm::cl);
        e.write_back(e.reg(0), rax);
    }
    e.flags_written();
    return true;
}

bool emit_double_shift(Emitter& e, InstId id) {
    if (e.is_immediate(2)) {
        return emit_same(e, id);
    }
    const auto free = [&](unsigned i) { return lives_in_host(static_cast<unsigned>(guest_number(e.reg(i)))); };
    if (e.is_memory(0) || !free(1)) {
        return false;
    }
    e.want_flags();
    e.a.mov(rcx, k_guest_rcx);
    e.a.emit(id, e.read(e.reg(0), rax), e.read(e.reg(1), rax), x86asm::cl);
    e.write_back(e.reg(0), rax);
    e.flags_written();
    return true;
}

// Bit tests with a register as bit number reach beyond a memory operand: those are not emitted.
bool emit_bit_test(Emitter& e, InstId id) {
    return e.is_memory(0) && !e.is_immediate(1) ? false : emit_same(e, id);
}

// CBW CWDE CDQE
bool emit_widen_rax(Emitter& e, InstId) {
    const x86asm::Gp rax_home = k_guest_rax;
    switch (e.one().decoded.operand_width) {
        case 16: e.a.movsx(rax_home.r16(), rax_home.r8()); return true;
        case 32: e.a.movsx(rax_home.r32(), rax_home.r16()); return true;
        default: e.a.movsxd(rax_home, rax_home.r32()); return true;
    }
}

// CWD CDQ CQO
bool emit_widen_into_rdx(Emitter& e, InstId id) {
    e.a.mov(rax, k_guest_rax);
    e.a.emit(id);
    return true;
}

// CMPXCHG: the accumulator is the host's for the moment.
bool emit_compare_exchange(Emitter& e, InstId id) {
    if (!e.is_memory(0) || !e.can_address(0) || is_high_byte(e.reg(1)) ||
        !lives_in_host(static_cast<unsigned>(guest_number(e.reg(1))))) {
        return false;
    }
    const x86asm::Mem at = e.access(0);
    e.want_flags();
    e.a.mov(rax, k_guest_rax);
    if ((e.one().decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) {
        e.a.lock();
    }
    e.a.emit(id, at, e.target(e.reg(1), rax));
    e.a.mov(k_guest_rax, rax);
    e.flags_written();
    return true;
}

// Every register that it has for itself is the guest's, or scratch: the address goes to one that is put back afterwards.
bool emit_compare_exchange_16(Emitter& e, InstId id) {
    constexpr unsigned k_bytes = 16;
    if (e.size_of(0) != k_bytes || !e.can_address(0)) {
        return false;
    }
    e.require_alignment(k_bytes);
    const x86asm::Mem at = e.access(0);
    e.check_alignment(at, e.one().operand_use, k_bytes);
    e.want_flags();
    e.a.mov(e.slot(&e.runtime().spare), x86asm::rsi);
    e.a.lea(x86asm::rsi, at);
    e.a.mov(rax, k_guest_rax);
    e.a.mov(rcx, k_guest_rcx);
    if ((e.one().decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) {
        e.a.lock();
    }
    e.a.emit(id, x86asm::ptr(x86asm::rsi, 0, k_bytes));
    e.a.mov(x86asm::rsi, e.slot(&e.runtime().spare));
    e.a.mov(k_guest_rax, rax);
    e.flags_written();
    return true;
}

// CLC STC CMC
bool emit_carry(Emitter& e, InstId id) {
    e.want_flags();
    e.a.emit(id);
    e.flags_written();
    return true;
}

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_MOV, emit_mov, Inst::kIdMov},
    {ZYDIS_MNEMONIC_MOVZX, emit_same, Inst::kIdMovzx},
    {ZYDIS_MNEMONIC_MOVSX, emit_same, Inst::kIdMovsx},
    {ZYDIS_MNEMONIC_MOVSXD, emit_same, Inst::kIdMovsxd},
    {ZYDIS_MNEMONIC_MOVBE, emit_same, Inst::kIdMovbe},
    {ZYDIS_MNEMONIC_LEA, emit_lea, Inst::kIdLea},
    {ZYDIS_MNEMONIC_ADD, emit_same, Inst::kIdAdd},
    {ZYDIS_MNEMONIC_ADC, emit_same, Inst::kIdAdc},
    {ZYDIS_MNEMONIC_SUB, emit_same, Inst::kIdSub},
    {ZYDIS_MNEMONIC_SBB, emit_same, Inst::kIdSbb},
    {ZYDIS_MNEMONIC_AND, emit_same, Inst::kIdAnd},
    {ZYDIS_MNEMONIC_OR, emit_same, Inst::kIdOr},
    {ZYDIS_MNEMONIC_XOR, emit_same, Inst::kIdXor},
    {ZYDIS_MNEMONIC_CMP, emit_same, Inst::kIdCmp},
    {ZYDIS_MNEMONIC_TEST, emit_same, Inst::kIdTest},
    {ZYDIS_MNEMONIC_INC, emit_same, Inst::kIdInc},
    {ZYDIS_MNEMONIC_DEC, emit_same, Inst::kIdDec},
    {ZYDIS_MNEMONIC_NEG, emit_same, Inst::kIdNeg},
    {ZYDIS_MNEMONIC_NOT, emit_same, Inst::kIdNot},
    {ZYDIS_MNEMONIC_XCHG, emit_same, Inst::kIdXchg},
    {ZYDIS_MNEMONIC_XADD, emit_same, Inst::kIdXadd},
    {ZYDIS_MNEMONIC_CMPXCHG, emit_compare_exchange, Inst::kIdCmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG16B, emit_compare_exchange_16, Inst::kIdCmpxchg16b},
    {ZYDIS_MNEMONIC_BSWAP, emit_same, Inst::kIdBswap},
    {ZYDIS_MNEMONIC_SHL, emit_shift, Inst::kIdShl},
    {ZYDIS_MNEMONIC_SHR, emit_shift, Inst::kIdShr},
    {ZYDIS_MNEMONIC_SAR, emit_shift, Inst::kIdSar},
    {ZYDIS_MNEMONIC_ROL, emit_shift, Inst::kIdRol},
    {ZYDIS_MNEMONIC_ROR, emit_shift, Inst::kIdRor},
    {ZYDIS_MNEMONIC_RCL, emit_shift, Inst::kIdRcl},
    {ZYDIS_MNEMONIC_RCR, emit_shift, Inst::kIdRcr},
    {ZYDIS_MNEMONIC_SHLD, emit_double_shift, Inst::kIdShld},
    {ZYDIS_MNEMONIC_SHRD, emit_double_shift, Inst::kIdShrd},
    {ZYDIS_MNEMONIC_BT, emit_bit_test, Inst::kIdBt},
    {ZYDIS_MNEMONIC_BTS, emit_bit_test, Inst::kIdBts},
    {ZYDIS_MNEMONIC_BTR, emit_bit_test, Inst::kIdBtr},
    {ZYDIS_MNEMONIC_BTC, emit_bit_test, Inst::kIdBtc},
    {ZYDIS_MNEMONIC_BSF, emit_same, Inst::kIdBsf},
    {ZYDIS_MNEMONIC_BSR, emit_same, Inst::kIdBsr},
    {ZYDIS_MNEMONIC_TZCNT, emit_same, Inst::kIdTzcnt},
    {ZYDIS_MNEMONIC_LZCNT, emit_same, Inst::kIdLzcnt},
    {ZYDIS_MNEMONIC_POPCNT, emit_same, Inst::kIdPopcnt},
    {ZYDIS_MNEMONIC_ANDN, emit_same, Inst::kIdAndn},
    {ZYDIS_MNEMONIC_BEXTR, emit_same, Inst::kIdBextr},
    {ZYDIS_MNEMONIC_BLSI, emit_same, Inst::kIdBlsi},
    {ZYDIS_MNEMONIC_BLSR, emit_same, Inst::kIdBlsr},
    {ZYDIS_MNEMONIC_BLSMSK, emit_same, Inst::kIdBlsmsk},
    {ZYDIS_MNEMONIC_BZHI, emit_same, Inst::kIdBzhi},
    {ZYDIS_MNEMONIC_PDEP, emit_same, Inst::kIdPdep},
    {ZYDIS_MNEMONIC_PEXT, emit_same, Inst::kIdPext},
    {ZYDIS_MNEMONIC_RORX, emit_same, Inst::kIdRorx},
    {ZYDIS_MNEMONIC_SARX, emit_same, Inst::kIdSarx},
    {ZYDIS_MNEMONIC_SHLX, emit_same, Inst::kIdShlx},
    {ZYDIS_MNEMONIC_SHRX, emit_same, Inst::kIdShrx},
    {ZYDIS_MNEMONIC_ADCX, emit_same, Inst::kIdAdcx},
    {ZYDIS_MNEMONIC_ADOX, emit_same, Inst::kIdAdox},
    {ZYDIS_MNEMONIC_CRC32, emit_same, Inst::kIdCrc32},
    {ZYDIS_MNEMONIC_CMOVO, emit_same, Inst::kIdCmovo},
    {ZYDIS_MNEMONIC_CMOVNO, emit_same, Inst::kIdCmovno},
    {ZYDIS_MNEMONIC_CMOVB, emit_same, Inst::kIdCmovb},
    {ZYDIS_MNEMONIC_CMOVNB, emit_same, Inst::kIdCmovnb},
    {ZYDIS_MNEMONIC_CMOVZ, emit_same, Inst::kIdCmovz},
    {ZYDIS_MNEMONIC_CMOVNZ, emit_same, Inst::kIdCmovnz},
    {ZYDIS_MNEMONIC_CMOVBE, emit_same, Inst::kIdCmovbe},
    {ZYDIS_MNEMONIC_CMOVNBE, emit_same, Inst::kIdCmovnbe},
    {ZYDIS_MNEMONIC_CMOVS, emit_same, Inst::kIdCmovs},
    {ZYDIS_MNEMONIC_CMOVNS, emit_same, Inst::kIdCmovns},
    {ZYDIS_MNEMONIC_CMOVP, emit_same, Inst::kIdCmovp},
    {ZYDIS_MNEMONIC_CMOVNP, emit_same, Inst::kIdCmovnp},
    {ZYDIS_MNEMONIC_CMOVL, emit_same, Inst::kIdCmovl},
    {ZYDIS_MNEMONIC_CMOVNL, emit_same, Inst::kIdCmovnl},
    {ZYDIS_MNEMONIC_CMOVLE, emit_same, Inst::kIdCmovle},
    {ZYDIS_MNEMONIC_CMOVNLE, emit_same, Inst::kIdCmovnle},
    {ZYDIS_MNEMONIC_SETO, emit_same, Inst::kIdSeto},
    {ZYDIS_MNEMONIC_SETNO, emit_same, Inst::kIdSetno},
    {ZYDIS_MNEMONIC_SETB, emit_same, Inst::kIdSetb},
    {ZYDIS_MNEMONIC_SETNB, emit_same, Inst::kIdSetnb},
    {ZYDIS_MNEMONIC_SETZ, emit_same, Inst::kIdSetz},
    {ZYDIS_MNEMONIC_SETNZ, emit_same, Inst::kIdSetnz},
    {ZYDIS_MNEMONIC_SETBE, emit_same, Inst::kIdSetbe},
    {ZYDIS_MNEMONIC_SETNBE, emit_same, Inst::kIdSetnbe},
    {ZYDIS_MNEMONIC_SETS, emit_same, Inst::kIdSets},
    {ZYDIS_MNEMONIC_SETNS, emit_same, Inst::kIdSetns},
    {ZYDIS_MNEMONIC_SETP, emit_same, Inst::kIdSetp},
    {ZYDIS_MNEMONIC_SETNP, emit_same, Inst::kIdSetnp},
    {ZYDIS_MNEMONIC_SETL, emit_same, Inst::kIdSetl},
    {ZYDIS_MNEMONIC_SETNL, emit_same, Inst::kIdSetnl},
    {ZYDIS_MNEMONIC_SETLE, emit_same, Inst::kIdSetle},
    {ZYDIS_MNEMONIC_SETNLE, emit_same, Inst::kIdSetnle},
    {ZYDIS_MNEMONIC_CBW, emit_widen_rax, Inst::kIdCbw},
    {ZYDIS_MNEMONIC_CWDE, emit_widen_rax, Inst::kIdCwde},
    {ZYDIS_MNEMONIC_CDQE, emit_widen_rax, Inst::kIdCdqe},
    {ZYDIS_MNEMONIC_CWD, emit_widen_into_rdx, Inst::kIdCwd},
    {ZYDIS_MNEMONIC_CDQ, emit_widen_into_rdx, Inst::kIdCdq},
    {ZYDIS_MNEMONIC_CQO, emit_widen_into_rdx, Inst::kIdCqo},
    {ZYDIS_MNEMONIC_CLC, emit_carry, Inst::kIdClc},
    {ZYDIS_MNEMONIC_STC, emit_carry, Inst::kIdStc},
    {ZYDIS_MNEMONIC_CMC, emit_carry, Inst::kIdCmc},
    {ZYDIS_MNEMONIC_NOP, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_ENDBR64, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_ENDBR32, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_PREFETCHNTA, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_PREFETCHT0, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_PREFETCHT1, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_PREFETCHT2, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_PREFETCHW, emit_nothing, Inst::kIdNop},
    {ZYDIS_MNEMONIC_LFENCE, emit_carry, Inst::kIdLfence},
    {ZYDIS_MNEMONIC_SFENCE, emit_carry, Inst::kIdSfence},
    {ZYDIS_MNEMONIC_MFENCE, emit_carry, Inst::kIdMfence},
};

}  // namespace

std::span<const EmitLine> integer_lines() { return k_lines; }

}  // namespace skep::jit
