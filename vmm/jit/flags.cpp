// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/flags.hpp"

namespace skep::jit {
namespace {

// Shifts and rotates whose count may be zero leave every flag alone then (SDM 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD).
bool may_leave_flags(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_SHL:
        case ZYDIS_MNEMONIC_SHR:
        case ZYDIS_MNEMONIC_SAR:
        case ZYDIS_MNEMONIC_ROL:
        case ZYDIS_MNEMONIC_ROR:
        case ZYDIS_MNEMONIC_RCL:
        case ZYDIS_MNEMONIC_RCR:
        case ZYDIS_MNEMONIC_SHLD:
        case ZYDIS_MNEMONIC_SHRD: break;
        default: return false;
    }
    const ZydisDecodedOperand& count = operands[instruction.operand_count_visible - 1];
    const unsigned mask = instruction.operand_width == 64 ? 63 : 31;
    return count.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || (count.imm.value.u & mask) == 0;
}

// Does the processor write the flags that the manual calls undefined? AMD's leave most of them as they were; then what is
// left must be the guest's, not what the host had there. After a multiplication no program asks for them, so that frequent
// one is spared the trouble.
bool writes_undefined_flags(ZydisMnemonic mnemonic, FlagsOfProducts products) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_AND:
        case ZYDIS_MNEMONIC_OR:
        case ZYDIS_MNEMONIC_XOR:
        case ZYDIS_MNEMONIC_TEST:
        case ZYDIS_MNEMONIC_SHL:
        case ZYDIS_MNEMONIC_SHR:
        case ZYDIS_MNEMONIC_SAR:
        case ZYDIS_MNEMONIC_ROL:
        case ZYDIS_MNEMONIC_ROR: return true;
        case ZYDIS_MNEMONIC_MUL:
        case ZYDIS_MNEMONIC_IMUL: return products == FlagsOfProducts::anything;
        default: return false;
    }
}

}  // namespace

FlagUse flag_use(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, FlagsOfProducts products) {
    FlagUse use;
    if (instruction.cpu_flags == nullptr) {
        return use;
    }
    if (instruction.mnemonic == ZYDIS_MNEMONIC_DIV || instruction.mnemonic == ZYDIS_MNEMONIC_IDIV) {
        return use;  // undefined, all of them: they stay what they were, as the interpreter has it
    }
    const ZydisAccessedFlags& flags = *instruction.cpu_flags;
    use.reads = static_cast<uint16_t>(flags.tested & k_all_flags);
    use.writes = static_cast<uint16_t>((flags.modified | flags.set_0 | flags.set_1 | flags.undefined) & k_all_flags);
    use.kills = may_leave_flags(instruction, operands) ? uint16_t{0} : use.writes;
    if (!writes_undefined_flags(instruction.mnemonic, products)) {
        use.kills &= static_cast<uint16_t>(~flags.undefined);
    }
    return use;
}

}  // namespace skep::jit
