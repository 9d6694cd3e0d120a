// SPDX-License-Identifier: GPL-3.0-or-later
// Which handler runs an x87, MMX, SSE or AVX instruction.
#include "vmm/interp/vector_ops.hpp"

#include <Zydis/Zydis.h>

#include <atomic>

#include "vmm/interp/native_thunk.hpp"
#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_native.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {

bool unit_of(const ZydisDecodedInstruction& instruction, NativeUnit& unit) {
    const x86::HostVectorFeatures& has = x86::host_vector_features();
    switch (instruction.meta.isa_ext) {
        case ZYDIS_ISA_EXT_MMX: unit = NativeUnit::mmx; return true;
        case ZYDIS_ISA_EXT_SSE:
        case ZYDIS_ISA_EXT_SSE2: unit = NativeUnit::sse; return true;
        case ZYDIS_ISA_EXT_SSE3: unit = NativeUnit::sse; return has.sse3;
        case ZYDIS_ISA_EXT_SSSE3: unit = NativeUnit::sse; return has.ssse3;
        case ZYDIS_ISA_EXT_SSE4:
            unit = NativeUnit::sse;
            return instruction.meta.isa_set == ZYDIS_ISA_SET_SSE42 ? has.sse4_2 : has.sse4_1;
        case ZYDIS_ISA_EXT_AES: unit = NativeUnit::sse; return has.aes;
        case ZYDIS_ISA_EXT_PCLMULQDQ: unit = NativeUnit::sse; return has.pclmulqdq;
        case ZYDIS_ISA_EXT_SHA: unit = NativeUnit::sse; return has.sha;
        case ZYDIS_ISA_EXT_AVX: unit = NativeUnit::avx; return has.avx;
        case ZYDIS_ISA_EXT_AVXAES: unit = NativeUnit::avx; return has.avx && has.aes;
        case ZYDIS_ISA_EXT_AVX2:
        case ZYDIS_ISA_EXT_AVX2GATHER: unit = NativeUnit::avx; return has.avx2;
        case ZYDIS_ISA_EXT_F16C: unit = NativeUnit::avx; return has.f16c;
        case ZYDIS_ISA_EXT_FMA: unit = NativeUnit::avx; return has.fma;
        case ZYDIS_ISA_EXT_VAES: unit = NativeUnit::avx; return has.vaes;
        case ZYDIS_ISA_EXT_VPCLMULQDQ: unit = NativeUnit::avx; return has.vpclmulqdq;
        default: return false;
    }
}

namespace {

void run_nothing(Core&, const Op&) {}

void run_fence(Core&, const Op&) { std::atomic_thread_fence(std::memory_order_seq_cst); }

// Instructions of these extensions that touch no vector register.
bool build_hint(const ZydisDecodedInstruction& instruction, PlainHandler& handler) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_PREFETCHNTA:
        case ZYDIS_MNEMONIC_PREFETCHT0:
        case ZYDIS_MNEMONIC_PREFETCHT1:
        case ZYDIS_MNEMONIC_PREFETCHT2: handler = run_nothing; return true;
        case ZYDIS_MNEMONIC_SFENCE:
        case ZYDIS_MNEMONIC_LFENCE:
        case ZYDIS_MNEMONIC_MFENCE: handler = run_fence; return true;
        default: return false;
    }
}

bool wrong_mode_or_prefix(const ZydisDecodedInstruction& instruction, const DecodeMode& mode) {
    if ((instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0)
        return true;
    const bool legacy = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    const bool vex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    return !(legacy || (vex && mode.protected_mode && !mode.v86));
}

}  // namespace

bool build_vector_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                     const DecodeMode& mode, Op& op, PlainHandler& handler, bool&) {
    if (wrong_mode_or_prefix(instruction, mode))
        return false;
    if (build_fpu_op(instruction, operands, op, handler) || build_fpu_environment_op(instruction, op, handler) ||
        build_vector_state_op(instruction, op, handler))
        return true;
    NativeUnit unit;
    if (!unit_of(instruction, unit))
        return false;
    if (build_hint(instruction, handler) || build_masked_move(instruction, operands, op, handler) ||
        build_vector_move(instruction, operands, op, handler))
        return true;
    const NativeBuild build = build_native_op(instruction, operands, unit);
    if (build.op == nullptr)
        return false;
    op.data = build.op;
    op.extra = static_cast<uint16_t>(build.slots);
    op.extra2 = static_cast<uint16_t>(build.slots >> 16);
    handler = native_handler(*build.op);
    return true;
}

}  // namespace skep::interp
