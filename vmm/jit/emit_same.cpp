// SPDX-License-Identifier: GPL-3.0-or-later
// Instructions that the host runs as they are: the same one with its registers and its memory operand exchanged.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::rax;
using x86asm::rcx;

bool writes(const ZydisDecodedOperand& operand) { return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0; }
// A write that leaves nothing of the old value.
bool replaces(const ZydisDecodedOperand& operand) {
    return operand.actions == ZYDIS_OPERAND_ACTION_WRITE && operand.size >= 32;
}

struct Plan {
    int memory = -1;  // operand
    int high = -1;    // operand that is AH, CH, DH or BH
    std::array<x86asm::Gp, 5> scratch;  // of operands that live in memory
    unsigned used = 0;
};

// False when there are not enough scratch registers, or the form is none for emit_same.
bool make_plan(const Emitter& e, Plan& plan) {
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (e.is_memory(i)) {
            if (plan.memory >= 0 || !e.can_address(i)) {
                return false;
            }
            plan.memory = static_cast<int>(i);
        }
    }
    const unsigned most = plan.memory >= 0 ? 1 : 2;
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (!e.is_register(i)) {
            continue;
        }
        const int number = guest_number(e.reg(i));
        if (number < 0) {
            return false;
        }
        if (is_high_byte(e.reg(i))) {
            if (plan.high >= 0) {
                return false;
            }
            plan.high = static_cast<int>(i);
        } else if (lives_in_host(static_cast<unsigned>(number))) {
            continue;
        } else {
            // The same register twice shares its scratch.
            bool shared = false;
            for (unsigned j = 0; j < i; ++j) {
                if (e.is_register(j) && guest_number(e.reg(j)) == number && !is_high_byte(e.reg(j))) {
                    plan.scratch[i] = plan.scratch[j];
                    shared = true;
                }
            }
            if (shared) {
                continue;
            }
            if (plan.used == most) {
                return false;
            }
            plan.scratch[i] = plan.used++ == 0 ? rax : rcx;
        }
    }
    return true;
}

// A high byte that is only read goes to a scratch register; one that is written needs its register turned by 8 bits, and
// then no other operand may use that.
bool high_byte_fits(const Emitter& e, Plan& plan) {
    if (plan.high < 0) {
        return true;
    }
    const auto high = static_cast<unsigned>(plan.high);
    if (!writes(e.operand(high))) {
        const unsigned most = plan.memory >= 0 ? 1 : 2;
        if (plan.used == most) {
            return false;
        }
        plan.scratch[high] = plan.used++ == 0 ? rax : rcx;
        return true;
    }
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (i != high && e.is_register(i) && guest_number(e.reg(i)) == guest_number(e.reg(high))) {
            return false;
        }
    }
    return true;
}

x86asm::Gp home_of_high(const Emitter& e, unsigned i) {
    return x86asm::gpq(static_cast<unsigned>(k_host_of_guest[static_cast<unsigned>(guest_number(e.reg(i)))]));
}

asmjit::Operand prepare_register(Emitter& e, const Plan& plan, unsigned i) {
    if (static_cast<int>(i) == plan.high) {
        const x86asm::Gp home = home_of_high(e, i);
        if (writes(e.operand(i))) {
            e.a.rorx(home, home, 8);
            return home.r8();
        }
        e.a.rorx(plan.scratch[i].r32(), home.r32(), 8);
        return plan.scratch[i].r8();
    }
    // BSF and BSR leave their target alone when there is no bit.
    const ZydisMnemonic mnemonic = e.one().decoded.mnemonic;
    const bool may_keep = mnemonic == ZYDIS_MNEMONIC_BSF || mnemonic == ZYDIS_MNEMONIC_BSR;
    const bool fresh = replaces(e.operand(i)) && e.operand_count() > 1 && !may_keep;
    bool read_elsewhere = false;
    for (unsigned j = 0; j < e.operand_count(); ++j) {
        read_elsewhere = read_elsewhere || (j != i && e.is_register(j) && guest_number(e.reg(j)) == guest_number(e.reg(i)));
    }
    return fresh && !read_elsewhere ? e.target(e.reg(i), plan.scratch[i]) : e.read(e.reg(i), plan.scratch[i]);
}

void store_results(Emitter& e, const Plan& plan) {
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (!e.is_register(i) || !writes(e.operand(i))) {
            continue;
        }
        if (static_cast<int>(i) == plan.high) {
            const x86asm::Gp home = home_of_high(e, i);
            e.a.rorx(home, home, 56);
        } else {
            e.write_back(e.reg(i), plan.scratch[i]);
        }
    }
}

}  // namespace

bool emit_same(Emitter& e, asmjit::InstId id) {
    Plan plan;
    if (!make_plan(e, plan) || !high_byte_fits(e, plan)) {
        return false;
    }
    std::array<asmjit::Operand, 5> operands{};
    if (plan.memory >= 0) {
        const auto memory = static_cast<unsigned>(plan.memory);
        operands[memory] = plan.high < 0 ? e.access_at_once(memory) : e.access(memory);
    }
    e.want_flags();
    for (unsigned i = 0; i < e.operand_count(); ++i) {
        if (e.is_register(i)) {
            operands[i] = prepare_register(e, plan, i);
        } else if (e.is_immediate(i)) {
            operands[i] = asmjit::imm(e.immediate(i));
        }
    }
    if ((e.one().decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) {
        e.a.lock();
    }
    e.a.emitOpArray(id, operands.data(), e.operand_count());
    store_results(e, plan);
    e.flags_written();
    if (plan.used < 2) {
        e.keep_rcx();
    }
    return true;
}

}  // namespace skep::jit
