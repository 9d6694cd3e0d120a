// SPDX-License-Identifier: GPL-3.0-or-later
// Op: one decoded instruction, compact, made once and run many times.
#pragma once

#include <cstdint>

namespace skep::interp {

class Core;
struct Op;

// Runs one op and, unless it ends the block, continues with the next (tail call).
using Handler = void (*)(Core&, const Op*);
// A rare instruction as a plain function: it returns, and a wrapper continues. It throws Fault to raise an exception;
// Core::rip is then still the instruction's own address.
using PlainHandler = void (*)(Core&, const Op&);

// The decoder fills every field from the instruction before a builder sees it: reg, rm, base ... and `immediate` from its
// explicit operands; operand_size is that of the first operand (of the instruction when that has none).
// Register operands are byte offsets into Core::gpr, so that AH is k_rax * 8 + 1 and every width looks alike.
using RegisterOffset = uint8_t;
inline constexpr RegisterOffset k_zero_register = 16 * 8;  // Core::gpr[16] is always 0: an absent base or index

enum OpFlags : uint8_t {
    k_op_lock = 1,
    k_op_rep = 2,    // F3 as a repeat prefix (REP, REPE)
    k_op_repne = 4,  // F2 as a repeat prefix
    k_op_memory = 8, // the r/m operand is memory
    k_op_rip_relative = 16,  // base is Core::gpr[17]; the displacement counts from the block's first instruction
    k_op_far_displacement = 32,  // `displacement` cannot hold all of it: see far_displacement()
};

struct Op {
    Handler run = nullptr;
    uint64_t immediate = 0;  // sign-extended to 64 bits; far pointer: offset
    int32_t displacement = 0;
    uint16_t offset = 0;     // of this instruction in its block, bytes (to find RIP when it faults)
    uint8_t length = 0;      // of this instruction, bytes
    uint8_t flags = 0;       // OpFlags
    RegisterOffset reg = 0;  // ModRM.reg operand, or the register in the opcode
    RegisterOffset rm = 0;   // ModRM.rm operand when it is a register; otherwise unused
    RegisterOffset base = k_zero_register;
    RegisterOffset index = k_zero_register;
    uint8_t scale = 0;        // shift: 0..3
    uint8_t segment = 0;      // SegmentRegister of the memory operand, override applied
    uint8_t operand_size = 4; // bytes: 1, 2, 4, 8
    uint8_t address_size = 4; // bytes: 2, 4, 8
    uint16_t extra = 0;       // second immediate (ENTER), far pointer selector, condition code, control register number ...
    uint16_t extra2 = 0;
    PlainHandler plain = nullptr;  // what `run` calls when it is a wrapper
    const void* data = nullptr;    // native thunks (x87, SSE, AVX) and other per-op tables

    // The part that `displacement` cannot hold: all of a 64-bit moffs, or the way from the block's first byte to the
    // end of this instruction when a RIP-relative displacement is so large that the sum overflows.
    [[nodiscard]] uint64_t far_displacement() const {
        if ((flags & k_op_far_displacement) == 0) {
            return 0;
        }
        return (flags & k_op_rip_relative) != 0 ? uint64_t{offset} + length : immediate;
    }
};
static_assert(sizeof(Op) <= 64);

}  // namespace skep::interp
