// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/pool.hpp"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace skep::lockstep {
namespace {

using test::Instruction;
using test::Subject;

ZydisDecoder make_decoder(bool code64) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, code64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32,
                     code64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
    return decoder;
}

int general_register(ZydisRegister reg) {
    const ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    return ZydisRegisterGetClass(full) == ZYDIS_REGCLASS_GPR64 ? static_cast<int>(ZydisRegisterGetId(full)) : -1;
}

// Random displacements of four bytes reach nothing: they become small ones.
void tame_displacement(Item& item, const ZydisDecodedInstruction& decoded, test::Random& random) {
    if (decoded.raw.disp.size == 32) {
        const int32_t small = static_cast<int32_t>(random.below(512)) - 256;
        std::memcpy(item.bytes.data() + decoded.raw.disp.offset, &small, 4);
    }
}

std::optional<Pooled> examine(const Instruction& found, const ZydisDecoder& decoder, test::Random& random) {
    ZydisDecodedInstruction decoded;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, found.bytes.data(), found.length, &decoded, operands.data())) ||
        decoded.length != found.length || decoded.mnemonic != found.decoded.mnemonic || found.is_bit_string()) {
        return std::nullopt;
    }
    Pooled out;
    out.leaves_flags_undefined = leaves_flags_undefined(decoded.mnemonic);
    out.item.size = static_cast<uint8_t>(found.length);
    out.item.bytes = found.bytes;
    for (unsigned i = 0; i < decoded.operand_count; ++i) {
        const ZydisDecodedOperand& operand = operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
            const int reg = general_register(operand.reg.value);
            out.writes |= reg >= 0 ? 1U << reg : 0;
        }
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN) {
            out.base = general_register(operand.mem.base);
            out.index = general_register(operand.mem.index);
            if (out.base < 0) {
                return std::nullopt;
            }
        }
    }
    tame_displacement(out.item, decoded, random);
    return out;
}

}  // namespace

bool leaves_flags_undefined(unsigned zydis_mnemonic) {
    switch (zydis_mnemonic) {
        case ZYDIS_MNEMONIC_MUL: case ZYDIS_MNEMONIC_IMUL:  // SF ZF AF PF
        case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV:  // all
            return true;
        default: return false;
    }
}

Pool::Pool(uint64_t seed, unsigned count) {
    test::Random random(seed);
    const ZydisDecoder decoder64 = make_decoder(true), decoder32 = make_decoder(false);
    for (const Subject subject : {Subject::integer, Subject::vector, Subject::x87}) {
        auto& found64 = m_found[1][static_cast<unsigned>(subject)];
        auto& found32 = m_found[0][static_cast<unsigned>(subject)];
        while (found64.size() < count || found32.size() < count / 2) {
            const Instruction found = test::random_instruction(random, subject);
            if (auto one = examine(found, decoder64, random)) {
                found64.push_back(*one);
            }
            if (auto one = examine(found, decoder32, random)) {
                found32.push_back(*one);
            }
        }
    }
}

const Pooled* Pool::choose(test::Random& random, Subject subject, bool code64, uint32_t pointers, unsigned index,
                           uint32_t free) const {
    const auto& found = m_found[code64 ? 1 : 0][static_cast<unsigned>(subject)];
    constexpr unsigned k_attempts = 12;
    for (unsigned i = 0; i < k_attempts; ++i) {
        const Pooled& one = found[random.below(static_cast<unsigned>(found.size()))];
        const bool base_fits = one.base < 0 || (pointers >> one.base & 1) != 0;
        const bool index_fits = one.index < 0 || one.index == static_cast<int>(index);
        if (base_fits && index_fits && (one.writes & ~free) == 0) {
            return &one;
        }
    }
    return nullptr;
}

}  // namespace skep::lockstep
