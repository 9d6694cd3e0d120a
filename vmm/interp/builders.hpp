// SPDX-License-Identifier: GPL-3.0-or-later
// The builders of the integer instruction set: each takes the instructions of one subject, picks their handler and
// arranges the Op's operands as that handler wants them.
#pragma once

#include <Zydis/Zydis.h>

#include "vmm/interp/decode.hpp"

namespace skep::interp {

// What a builder looks at. `operands` are all of the instruction's, explicit ones first.
struct Source {
    const ZydisDecodedInstruction& instruction;
    const ZydisDecodedOperand* operands;
    const DecodeMode& mode;

    [[nodiscard]] ZydisMnemonic mnemonic() const { return instruction.mnemonic; }
    [[nodiscard]] bool is_register(unsigned i) const { return operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER; }
    [[nodiscard]] bool is_memory(unsigned i) const { return operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY; }
    [[nodiscard]] bool is_immediate(unsigned i) const { return operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }
    [[nodiscard]] unsigned size_of(unsigned i) const { return operands[i].size / 8; }
};

// The byte offset into Core::gpr of a general register; k_zero_register for none and for any other kind.
[[nodiscard]] RegisterOffset register_offset(ZydisRegister value);
[[nodiscard]] inline RegisterOffset register_offset(const Source& from, unsigned i) {
    return register_offset(from.operands[i].reg.value);
}
// A PlainHandler as an Op's handler; `flow`: next or ends_block.
void set_plain(Decoded& decoded, PlainHandler handler, Flow flow = Flow::next);

// False when the instruction is of another subject.
bool build_alu(const Source& from, Decoded& to);       // ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT
bool build_locked(const Source& from, Decoded& to);    // the LOCKed forms of those
bool build_move(const Source& from, Decoded& to);      // MOV MOVZX MOVSX LEA CMOV SETcc BSWAP MOVBE CBW CWD XLAT
bool build_exchange(const Source& from, Decoded& to);  // XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B
bool build_shift(const Source& from, Decoded& to);     // SHL SHR SAR ROL ROR RCL RCR SHLD SHRD and BMI2's
bool build_multiply(const Source& from, Decoded& to);  // MUL IMUL DIV IDIV MULX
bool build_bits(const Source& from, Decoded& to);      // BT BTS BTR BTC BSF BSR POPCNT LZCNT TZCNT CRC32, BMI, ADX
bool build_decimal(const Source& from, Decoded& to);   // DAA DAS AAA AAS AAM AAD
bool build_stack(const Source& from, Decoded& to);     // PUSH POP PUSHA POPA ENTER LEAVE of general registers
bool build_control(const Source& from, Decoded& to);   // near JMP Jcc CALL RET LOOP JCXZ
bool build_string(const Source& from, Decoded& to);    // MOVS STOS LODS CMPS SCAS INS OUTS, repeated or not
bool build_various(const Source& from, Decoded& to);   // flags, NOPs, hints, fences, IN, OUT, BOUND, RDRAND...

}  // namespace skep::interp
