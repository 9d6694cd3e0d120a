// SPDX-License-Identifier: GPL-3.0-or-later
// The system instructions as plain handlers: which handler runs a decoded instruction, and its operands in the Op.
#pragma once

#include "vmm/interp/op.hpp"

struct ZydisDecodedInstruction_;
struct ZydisDecodedOperand_;

namespace skep::interp {

struct DecodeMode;

// True if the instruction is one of ours: `handler`, the fields of `op` that are special to it (immediate, extra: selector,
// control register number, vector) and `ends_block` are then set. The general operands (reg, rm, memory) are already
// filled in by the decoder.
bool build_system_op(const ZydisDecodedInstruction_& instruction, const ZydisDecodedOperand_* operands,
                     const DecodeMode& mode, Op& op, PlainHandler& handler, bool& ends_block);

}  // namespace skep::interp
