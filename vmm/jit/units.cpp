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
        default: return false;
    }
}

UnitUse vector_use(const GuestInstruction& one) {
    NativeUnit unit;
    UnitUse use;
    const bool encoded_so = one.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
                            one.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    if (!encoded_so || !interp::unit_of(one.decoded, unit) || special_use(one, use)) {
        return use;
    }
    interp::NativeOp properties;
    bool on_registers = false;
    for (unsigned i = 0; i < one.decoded.operand_count_visible; ++i) {
        const ZydisRegisterClass kind = one.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER
                                            ? ZydisRegisterGetClass(one.operands[i].reg.value)
                                            : ZYDIS_REGCLASS_INVALID;
        on_registers = on_registers || kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM;
    }
    const bool described = interp::describe_native_op(one.decoded, one.operands.data(), unit, properties);
    if (!on_registers || !described || properties.uses_mmx || has_hidden_memory(one)) {
        return use;
    }
    use.vectors = unit == NativeUnit::avx ? VectorUse::avx : VectorUse::sse;
    return use;
}

UnitUse meet(const UnitUse& left, const UnitUse& right) {
    return {.vectors = std::min(left.vectors, right.vectors), .x87 = left.x87 && right.x87};
}

// The new control word may unmask exceptions, and then nothing is live behind it.
bool changes_masks(const GuestInstruction& one) {
    return one.decoded.mnemonic == ZYDIS_MNEMONIC_LDMXCSR || one.decoded.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR ||
           one.decoded.mnemonic == ZYDIS_MNEMONIC_FLDCW;
}

UnitUse after(const GuestInstruction& one, const UnitUse& before) {
    if (one.interpreted || (one.units.any() && changes_masks(one))) {
        return {};
    }
    return {.vectors = std::max(before.vectors, one.units.vectors), .x87 = before.x87 || one.units.x87};
}

}  // namespace

UnitUse unit_use(const GuestInstruction& one) {
    return vector_use(one);
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
