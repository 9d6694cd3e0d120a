// SPDX-License-Identifier: GPL-3.0-or-later
// Makes the native function of one decoded x87, MMX, SSE or AVX instruction.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>

#include "vmm/interp/native_code.hpp"

namespace skep::interp {

// An instruction's register operands, one byte each in Op::extra and extra2: 16 times the number of a vector register,
// 8 times that of a general one.
enum RegisterSlot : unsigned { k_slot_reg, k_slot_rm, k_slot_vvvv, k_slot_is4, k_slot_count };

struct NativeBuild {
    const NativeOp* op = nullptr;
    uint32_t slots = 0;  // low half for Op::extra, high half for Op::extra2
};

// The native function of an x87 instruction on ST registers or with a memory operand of 2, 4, 8 or 10 bytes.
[[nodiscard]] const NativeOp* build_native_x87(const ZydisDecodedInstruction& instruction,
                                               const ZydisDecodedOperand* operands);

// What must be done around an SSE, AVX or MMX instruction that the host runs by itself: everything but `run`. False when
// it does not run by itself (its handler is elsewhere).
[[nodiscard]] bool describe_native_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                                      NativeUnit unit, NativeOp& properties);

// Makes the native function; op is nullptr when the form is not one that runs by itself (its handler is elsewhere) or
// executable memory is exhausted.
[[nodiscard]] NativeBuild build_native_op(const ZydisDecodedInstruction& instruction,
                                          const ZydisDecodedOperand* operands, NativeUnit unit);

// From the low half of a YMM register in the XSAVE image to its high half.
inline constexpr unsigned k_ymm_high_distance = 576 - 160;

}  // namespace skep::interp
