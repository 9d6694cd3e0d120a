// SPDX-License-Identifier: GPL-3.0-or-later
// Guest registers as operands of host instructions.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

unsigned width_of(ZydisRegister reg) {
    return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8U;
}

}  // namespace

int guest_number(ZydisRegister reg) {
    if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL) {
        return reg - ZYDIS_REGISTER_AL;
    }
    if (is_high_byte(reg)) {
        return reg - ZYDIS_REGISTER_AH;
    }
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B) {
        return reg - ZYDIS_REGISTER_SPL + 4;
    }
    if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W) {
        return reg - ZYDIS_REGISTER_AX;
    }
    if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D) {
        return reg - ZYDIS_REGISTER_EAX;
    }
    if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15) {
        return reg - ZYDIS_REGISTER_RAX;
    }
    return -1;
}

bool is_high_byte(ZydisRegister reg) { return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH; }

uint16_t written_registers(const GuestInstruction& one) {
    uint16_t written = 0;
    for (unsigned i = 0; i < one.decoded.operand_count; ++i) {
        const ZydisDecodedOperand& operand = one.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
            const int number = guest_number(operand.reg.value);
            written |= static_cast<uint16_t>(number < 0 ? 0 : 1U << number);
        }
    }
    return written;
}

x86asm::Mem Emitter::slot(const void* place, unsigned bytes) const {
    return x86asm::ptr_abs(reinterpret_cast<uintptr_t>(place), bytes);
}

x86asm::Mem Emitter::gpr_slot(unsigned guest, unsigned bytes) const {
    return slot(&m_places.core->gpr[guest], bytes);
}

x86asm::Gp Emitter::target(ZydisRegister guest, const x86asm::Gp& scratch) const {
    const auto number = static_cast<unsigned>(guest_number(guest));
    const unsigned host = lives_in_host(number) ? static_cast<unsigned>(k_host_of_guest[number]) : scratch.id();
    return gp_of_size(host, width_of(guest));
}

x86asm::Gp Emitter::read(ZydisRegister guest, const x86asm::Gp& scratch) {
    const auto number = static_cast<unsigned>(guest_number(guest));
    if (!lives_in_host(number)) {
        a.mov(scratch.r64(), gpr_slot(number));
    }
    return target(guest, scratch);
}

void Emitter::write_back(ZydisRegister guest, const x86asm::Gp& scratch) {
    const auto number = static_cast<unsigned>(guest_number(guest));
    if (!lives_in_host(number)) {
        a.mov(gpr_slot(number), scratch.r64());
    }
}

int64_t immediate_of(const ZydisDecodedOperand& from) {
    switch (from.size) {
        case 8: return static_cast<int8_t>(from.imm.value.u);
        case 16: return static_cast<int16_t>(from.imm.value.u);
        case 32: return static_cast<int32_t>(from.imm.value.u);
        default: return from.imm.value.s;
    }
}

}  // namespace skep::jit
