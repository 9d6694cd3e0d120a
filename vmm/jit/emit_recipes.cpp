// SPDX-License-Identifier: GPL-3.0-or-later
// Flags made again: after CMP, TEST, ADD and their like the operands are still there, so nobody need save the flags as
// long as only a fault, an interrupt or a way out would want them: the slow path repeats the comparison, or undoes and
// repeats the sum. That holds until an instruction changes one of the operands.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::rax;
namespace Inst = x86asm::Inst;

bool is_usable_register(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && guest_number(operand.reg.value) >= 0 &&
           !is_high_byte(operand.reg.value);
}

bool is_usable_source(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE || is_usable_register(operand);
}

bool same_register(const GuestInstruction& one) {
    return one.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && one.operands[0].reg.value == one.operands[1].reg.value;
}

// Does the recipe need its second operand?
bool needs_source(const GuestInstruction& recipe) {
    switch (recipe.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_CMP:
        case ZYDIS_MNEMONIC_TEST:
        case ZYDIS_MNEMONIC_ADD:
        case ZYDIS_MNEMONIC_SUB: return recipe.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
        default: return false;
    }
}

class Cook {
  public:
    Cook(Emitter& e, const GuestInstruction& recipe) : e(e), m_recipe(recipe), m_bytes(recipe.operands[0].size / 8U) {}

    void make() {
        switch (m_recipe.decoded.mnemonic) {
            case ZYDIS_MNEMONIC_CMP: compare(Inst::kIdCmp); break;
            case ZYDIS_MNEMONIC_TEST: compare(Inst::kIdTest); break;
            case ZYDIS_MNEMONIC_ADD: repeat(Inst::kIdSub, Inst::kIdAdd); break;
            case ZYDIS_MNEMONIC_SUB:
                if (same_register(m_recipe)) {
                    compare(Inst::kIdCmp);
                } else {
                    repeat(Inst::kIdAdd, Inst::kIdSub);
                }
                break;
            case ZYDIS_MNEMONIC_NEG: {
                const x86asm::Gp copy = load(0);
                e.a.neg(copy);
                e.a.neg(copy);
                break;
            }
            default: {  // AND OR XOR
                const x86asm::Gp result = load(0);
                e.a.test(result, result);
                break;
            }
        }
    }

  private:
    [[nodiscard]] asmjit::Operand operand(unsigned i) const {
        const ZydisDecodedOperand& from = m_recipe.operands[i];
        if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            return asmjit::imm(immediate_of(from));
        }
        const auto number = static_cast<unsigned>(guest_number(from.reg.value));
        if (lives_in_host(number)) {
            return gp_of_size(static_cast<unsigned>(k_host_of_guest[number]), m_bytes);
        }
        return e.gpr_slot(number, m_bytes);
    }
    // A copy that may be changed.
    x86asm::Gp load(unsigned i) {
        const x86asm::Gp copy = gp_of_size(rax.id(), m_bytes);
        e.a.emit(Inst::kIdMov, copy, operand(i));
        return copy;
    }
    void compare(asmjit::InstId id) {
        const asmjit::Operand left = operand(0), right = operand(1);
        if (left.isMem() && right.isMem()) {
            const x86asm::Gp copy = load(0);
            e.a.emit(id, copy, id == Inst::kIdTest ? asmjit::Operand(copy) : right);
        } else if (right.isMem() && id == Inst::kIdTest) {
            e.a.emit(id, right, left);
        } else {
            e.a.emit(id, left, right);
        }
    }
    void repeat(asmjit::InstId undo, asmjit::InstId redo) {
        const x86asm::Gp copy = load(0);
        e.a.emit(undo, copy, operand(1));
        e.a.emit(redo, copy, operand(1));
    }

    Emitter& e;
    const GuestInstruction& m_recipe;
    unsigned m_bytes;
};

}  // namespace

bool is_recipe(const GuestInstruction& one) {
    if (one.decoded.operand_count_visible == 0 || !is_usable_register(one.operands[0])) {
        return false;
    }
    switch (one.decoded.mnemonic) {
        case ZYDIS_MNEMONIC_CMP: return is_usable_source(one.operands[1]);
        case ZYDIS_MNEMONIC_TEST: {
            // Two registers that both live in memory: the same one, or there is no short way.
            const bool register_source = one.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
            return is_usable_source(one.operands[1]) &&
                   (!register_source || same_register(one) ||
                    lives_in_host(static_cast<unsigned>(guest_number(one.operands[0].reg.value))) ||
                    lives_in_host(static_cast<unsigned>(guest_number(one.operands[1].reg.value))));
        }
        case ZYDIS_MNEMONIC_SUB: return is_usable_source(one.operands[1]);
        case ZYDIS_MNEMONIC_ADD: return is_usable_source(one.operands[1]) && !same_register(one);
        case ZYDIS_MNEMONIC_AND:
        case ZYDIS_MNEMONIC_OR:
        case ZYDIS_MNEMONIC_XOR:
        case ZYDIS_MNEMONIC_NEG: return true;
        default: return false;
    }
}

bool spoils_recipe(const GuestInstruction& one, const GuestInstruction& recipe) {
    unsigned needed = 1U << guest_number(recipe.operands[0].reg.value);
    if (needs_source(recipe)) {
        needed |= 1U << guest_number(recipe.operands[1].reg.value);
    }
    return (written_registers(one) & needed) != 0;
}

// With rax as scratch.
void Emitter::make_flags_of(const GuestInstruction& recipe) { Cook(*this, recipe).make(); }

// May anybody want the flags of before `one` afterwards?
bool Emitter::flags_outlive(const GuestInstruction& one) const { return (one.live_out & ~one.flags.kills) != 0; }

// Before an instruction: flags that are nowhere else are saved when it takes the recipe away.
void Emitter::keep_flags_past_recipe() {
    const bool nowhere_else = m_flags.recipe != nullptr && !m_flags.host && !m_flags.memory;
    if (nowhere_else && spoils_recipe(*m_one, *m_flags.recipe) && flags_outlive(*m_one)) {
        ensure_flags_in_memory();
    }
}

// After it.
void Emitter::end_recipe() {
    if (m_flags.recipe != nullptr && m_flags.recipe != m_one && spoils_recipe(*m_one, *m_flags.recipe)) {
        m_flags.recipe = nullptr;
    }
}

}  // namespace skep::jit
