// SPDX-License-Identifier: GPL-3.0-or-later
// Memory operands: the linear address into rcx, the inlined look into the TLB, the host address in rcx.
#include "vmm/base/bits.hpp"
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::eax;
using x86asm::ecx;
using x86asm::rax;
using x86asm::rcx;

constexpr unsigned k_entry_shift = 5;  // sizeof(TlbEntry) == 32
constexpr unsigned k_page_shift = 12;
static_assert(sizeof(interp::TlbEntry) == 1U << k_entry_shift);

bool has_base(ZydisRegister reg) { return reg != ZYDIS_REGISTER_NONE; }

bool fits_int32(int64_t value) { return value == static_cast<int32_t>(value); }

}  // namespace

bool Emitter::can_address(unsigned i) const {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    if (m_one->decoded.address_width != 64) {
        return false;
    }
    const int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    return fits_int32(displacement + (memory.base == ZYDIS_REGISTER_RIP ? 4096 + 15 : 0)) ||
           (memory.base == ZYDIS_REGISTER_NONE && memory.index == ZYDIS_REGISTER_NONE);
}

void Emitter::effective_address(unsigned i, const x86asm::Gp& to) {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    if (memory.base == ZYDIS_REGISTER_RIP) {
        a.mov(rcx, slot(&runtime().page_base));
        a.lea(to, x86asm::ptr(rcx, static_cast<int32_t>(displacement + m_one->end())));
        return;
    }
    if (!has_base(memory.base) && !has_base(memory.index)) {
        a.mov(to.r64(), asmjit::imm(displacement));
        return;
    }
    const auto offset = static_cast<int32_t>(displacement);
    const unsigned shift = memory.scale == 8 ? 3U : memory.scale / 2U;
    if (!has_base(memory.index)) {
        const x86asm::Gp base = read(memory.base, rcx);
        if (offset == 0 && to.size() == 8) {
            if (to.id() != base.id()) {
                a.mov(to, base);
            }
        } else {
            a.lea(to, x86asm::ptr(base, offset));
        }
        return;
    }
    if (!has_base(memory.base)) {
        a.lea(to, x86asm::ptr(static_cast<uint64_t>(displacement), read(memory.index, rcx), shift));
        return;
    }
    const x86asm::Gp base = read(memory.base, rcx);
    const x86asm::Gp index = read(memory.index, base.id() == rcx.id() ? rax : rcx);
    a.lea(to, x86asm::ptr(base, index, shift, offset));
}

x86asm::Mem Emitter::access(unsigned i) {
    const ZydisDecodedOperand& memory = operand(i);
    clobber_flags();
    effective_address(i, rcx);
    if (memory.mem.segment == ZYDIS_REGISTER_FS || memory.mem.segment == ZYDIS_REGISTER_GS) {
        a.add(rcx, slot(&m_places.core->segment_base[memory.mem.segment - ZYDIS_REGISTER_ES]));
    }
    const bool writes = (memory.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    return access_address(memory.size / 8U, writes ? AccessKind::write : AccessKind::read);
}

x86asm::Mem Emitter::access_address(unsigned bytes, AccessKind kind) {
    constexpr uint32_t k_mask = (interp::k_tlb_entries - 1) << k_entry_shift;
    const auto tag = static_cast<int32_t>(kind == AccessKind::write ? offsetof(interp::TlbEntry, write_tag)
                                                                    : offsetof(interp::TlbEntry, read_tag));
    a.mov(eax, ecx);
    a.shr(eax, k_page_shift - k_entry_shift);
    a.and_(eax, k_mask);
    a.add(rax, slot(&m_places.core->tlb));
    a.sub(rcx, x86asm::ptr(rax, tag));
    a.cmp(rcx, 4096 - bytes);
    a.ja(slow());
    a.add(rcx, x86asm::ptr(rax, offsetof(interp::TlbEntry, host_page)));
    return x86asm::ptr(rcx, 0, bytes);
}

asmjit::Label Emitter::slow() {
    if (!m_slow.isValid()) {
        m_slow = a.newLabel();
    }
    return m_slow;
}

}  // namespace skep::jit
