// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of build_vector_op(), by subject. Each fills op and handler and returns true for what it knows.
#pragma once

#include <Zydis/Zydis.h>

#include "vmm/interp/decode.hpp"
#include "vmm/interp/native_code.hpp"
#include "vmm/interp/op.hpp"

namespace skep::interp {

// The unit an instruction belongs to, if the processor has its extension (by CPUID; XCR0 and CR4 are looked at when it
// runs).
bool unit_of(const ZydisDecodedInstruction& instruction, NativeUnit& unit);

// x87 arithmetic, loads and stores, control (fpu_ops.cpp).
bool build_fpu_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                  PlainHandler& handler);
// FLDENV, FNSTENV, FRSTOR, FNSAVE (fpu_environment.cpp).
bool build_fpu_environment_op(const ZydisDecodedInstruction& instruction, Op& op, PlainHandler& handler);
// FXSAVE, XSAVE and their relatives, LDMXCSR, STMXCSR (vector_xsave.cpp).
bool build_vector_state_op(const ZydisDecodedInstruction& instruction, Op& op, PlainHandler& handler);
// Plain moves between vector registers and memory, in C++ (vector_moves.cpp).
bool build_vector_move(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                       PlainHandler& handler);
// MASKMOV, VMASKMOV, VPMASKMOV, gathers: element by element (vector_masked.cpp).
bool build_masked_move(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                       PlainHandler& handler);

}  // namespace skep::interp
