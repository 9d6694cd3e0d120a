// SPDX-License-Identifier: GPL-3.0-or-later
// x87, MMX, SSE, AVX and their kin as plain handlers: which handler runs a decoded instruction.
#pragma once

#include "vmm/interp/op.hpp"

struct ZydisDecodedInstruction_;
struct ZydisDecodedOperand_;

namespace skep::interp {

struct DecodeMode;

// True if the instruction is one of ours: `handler` and the fields of `op` that are special to it are then set. The
// general operands (reg, rm, memory) are already filled in by the decoder.
bool build_vector_op(const ZydisDecodedInstruction_& instruction, const ZydisDecodedOperand_* operands,
                     const DecodeMode& mode, Op& op, PlainHandler& handler, bool& ends_block);

}  // namespace skep::interp
