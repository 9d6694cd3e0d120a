// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/units.hpp"

#include <algorithm>

#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/native_thunk.hpp"
#include "vmm/jit/region.hpp"

namespace skep::jit {
namespace {

using interp::NativeUnit;

// Visible memory operands only: what MASKMOVDQU stores to is hidden.
bool has_hidden_memory(const GuestInstruction& one) {
    for (unsigned i = one.decoded.operand_count_visible; i < one.decoded.operand_count; ++i) {
        if (one.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            return true;
        }
    }
    return false;
}

// Instructions of the vector extensions that are not described as operations on registers.
bool special_use(const GuestInstruction& one, UnitUse& use) {
    switch (one.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_VZEROUPPER:
        case ZYDIS_MNEMONIC_VZEROALL:
        case ZYDIS_MNEMONIC_VLDMXCSR:
        case ZYDIS_MNEMONIC_VSTMXCSR: use = {.vectors = VectorUse::avx}; return true;
        case ZYDIS_MNEMONIC_LDMXCSR:
        case ZYDIS_MNEMONIC_STMXCSR: use = {.vectors = VectorUse::sse}; return true;
        case ZYDIS_MNEMONIC_EMMS: use = {.x87 = true}; return true;
        default: return false;
    }
}

bool has_register_of(const GuestInstruction& one, ZydisRegisterClass first, ZydisRegisterClass second) {
    for (unsigned i = 0; i < one.decoded.operand_count_visible; ++i) {
        if (one.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            const ZydisRegisterClass kind = ZydisRegisterGetClass(one.operands[i].reg.value);
            if (kind == first || kind == second) {
                return true;
            }
        }
    }
    return false;
}

// Whether these enter MMX mode when their operand is in memory is not the same on all processors.
bool is_mixed_with_memory(const GuestInstruction& one) {
    return (one.decoded.mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || one.decoded.mnemonic == ZYDIS_MNEMONIC_CVTPI2PD) &&
           one.operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

UnitUse vector_use(const GuestInstruction& one) {
    NativeUnit unit;
    UnitUse use;
    const bool encoded_so = one.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
                            one.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    if (!encoded_so || !interp::unit_of(one.decoded, unit) || special_use(one, use)) {
        return use;
    }
    const bool on_vectors = has_register_of(one, ZYDIS_REGCLASS_XMM, ZYDIS_REGCLASS_YMM);
    const bool on_mmx = has_register_of(one, ZYDIS_REGCLASS_MMX, ZYDIS_REGCLASS_MMX);
    interp::NativeOp properties;
    if ((!on_vectors && !on_mmx) || is_mixed_with_memory(one) || has_hidden_memory(one) ||
        !interp::describe_native_op(one.decoded, one.operands.data(), unit, properties)) {
        return use;
    }
    if (unit != NativeUnit::mmx) {
        use.vectors = unit == NativeUnit::avx ? VectorUse::avx : VectorUse::sse;
    }
    use.x87 = on_mmx;
    return use;
}

// Those that work on the registers; what initialises the unit or saves it as a whole is the interpreter's.
UnitUse x87_use(const GuestInstruction& one) {
    switch (one.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_FLDENV:
        case ZYDIS_MNEMONIC_FNSTENV:
        case ZYDIS_MNEMONIC_FRSTOR:
        case ZYDIS_MNEMONIC_FNSAVE:
        case ZYDIS_MNEMONIC_FNINIT:
        case ZYDIS_MNEMONIC_FENI8087_NOP:
        case ZYDIS_MNEMONIC_FDISI8087_NOP:
        case ZYDIS_MNEMONIC_FSETPM287_NOP: return {};
        default: return {.x87 = true};
    }
}

UnitUse meet(const UnitUse& left, const UnitUse& right) {
    return {.vectors = std::min(left.vectors, right.vectors), .x87 = left.x87 && right.x87};
}

UnitUse after(const GuestInstruction& one, const UnitUse& before) {
    if (one.interpreted || one.decoded.meta.category == ZYDIS_CATEGORY_CALL) {
        return {};
    }
    UnitUse live{.vectors = std::max(before.vectors, one.units.vectors), .x87 = before.x87 || one.units.x87};
    // A new control word may unmask exceptions, and then its unit is not live behind it.
    switch (one.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_LDMXCSR:
        case ZYDIS_MNEMONIC_VLDMXCSR: live.vectors = VectorUse::none; break;
        case ZYDIS_MNEMONIC_FLDCW: live.x87 = false; break;
        default: break;
    }
    return live;
}

}  // namespace

bool is_x87(const ZydisDecodedInstruction& instruction) {
    const bool escape = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
                        instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction.opcode & 0xf8) == 0xd8;
    return escape || instruction.mnemonic == ZYDIS_MNEMONIC_FWAIT;
}

UnitUse unit_use(const GuestInstruction& one) {
    return is_x87(one.decoded) ? x87_use(one) : vector_use(one);
}

void find_live_units(GuestRegion& region) {
    const auto uses_any = [](const GuestInstruction& one) { return one.units.any(); };
    if (std::ranges::none_of(region.instructions, uses_any)) {
        return;
    }
    std::vector<UnitUse> at_start(region.blocks.size(), UnitUse{.vectors = VectorUse::avx, .x87 = true});
    at_start[0] = {};
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < region.blocks.size(); ++i) {
            const GuestBlock& block = region.blocks[i];
            UnitUse live = at_start[i];
            for (unsigned k = 0; k < block.count; ++k) {
                GuestInstruction& one = region.instructions[block.first + k];
                one.live_before = live;
                live = after(one, live);
                one.live_after = live;
            }
            for (const int to : {block.taken, block.next}) {
                if (to != k_outside && meet(at_start[static_cast<size_t>(to)], live) != at_start[static_cast<size_t>(to)]) {
                    at_start[static_cast<size_t>(to)] = meet(at_start[static_cast<size_t>(to)], live);
                    changed = true;
                }
            }
        }
    }
    for (GuestInstruction& one : region.instructions) {
        one.may_fault = one.may_fault || !one.live_before.covers(one.units);
    }
}

}  // namespace skep::jit
