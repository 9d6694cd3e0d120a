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

void Emitter::effective_address(unsigned i, const x86asm::Gp& to, int below) {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    const int64_t displacement = (memory.disp.has_displacement ? memory.disp.value : 0) - below;
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

// --- one look into the TLB -------------------------------------------------------------------------------------------------
// The linear address in rcx becomes the host's.
void Emitter::check_address(unsigned bytes, AccessKind kind, const asmjit::Label& otherwise) {
    constexpr uint32_t k_mask = (interp::k_tlb_entries - 1) << k_entry_shift;
    const auto tag = static_cast<int32_t>(kind == AccessKind::write ? offsetof(interp::TlbEntry, write_tag)
                                                                    : offsetof(interp::TlbEntry, read_tag));
    m_rcx_span = -1;
    a.mov(eax, ecx);
    a.shr(eax, k_page_shift - k_entry_shift);
    a.and_(eax, k_mask);
    a.add(rax, slot(&m_places.core->tlb));
    a.sub(rcx, x86asm::ptr(rax, tag));
    a.cmp(rcx, 4096 - bytes);
    const asmjit::Label found = a.newLabel();
    a.ja(missed(bytes, kind, found, otherwise));
    a.add(rcx, x86asm::ptr(rax, offsetof(interp::TlbEntry, host_page)));
    a.bind(found);
}

// `to_rcx(below)` brings the linear address so many bytes below into rcx.
template <typename Address>
x86asm::Mem Emitter::access_at(const SharedUse& use, unsigned bytes, AccessKind kind, Address to_rcx) {
    if (shares(use) && m_spans[static_cast<unsigned>(use.check)].checked) {
        return use_span(use, bytes);
    }
    clobber_flags();
    if (shares(use)) {
        to_rcx(use.offset);
        check_span(use);
        return use_span(use, bytes);
    }
    to_rcx(0);
    check_address(bytes, kind, slow());
    m_latest_span = -1;
    return x86asm::ptr(rcx, 0, bytes);
}

x86asm::Mem Emitter::access(unsigned i) {
    const ZydisDecodedOperand& memory = operand(i);
    const SharedUse& use = m_one->operand_use;
    const unsigned bytes = memory.size / 8U;
    const bool writes = (memory.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    return access_at(use, bytes, writes ? AccessKind::write : AccessKind::read, [&](int below) {
        effective_address(i, rcx, below);
        if (memory.mem.segment == ZYDIS_REGISTER_FS || memory.mem.segment == ZYDIS_REGISTER_GS) {
            a.add(rcx, slot(&m_places.core->segment_base[memory.mem.segment - ZYDIS_REGISTER_ES]));
        }
    });
}

x86asm::Mem Emitter::access_stack(const x86asm::Gp& base, int displacement, AccessKind kind) {
    return access_at(m_one->stack_use, sizeof(uint64_t), kind,
                     [&](int below) { a.lea(rcx, x86asm::ptr(base, displacement - below)); });
}

// --- shared checks ---------------------------------------------------------------------------------------------------------
// The linear address of the span is in rcx.
void Emitter::check_span(const SharedUse& use) {
    const auto index = static_cast<unsigned>(use.check);
    const SharedCheck& check = m_guest->blocks[m_block].checks[index];
    check_address(check.size, check.writes ? AccessKind::write : AccessKind::read, careful());
    a.mov(slot(&runtime().checked[index]), rcx);
    m_spans[index].checked = true;
    m_rcx_span = use.check;
}

x86asm::Mem Emitter::use_span(const SharedUse& use, unsigned bytes) {
    if (m_rcx_span != use.check) {
        a.mov(rcx, slot(&runtime().checked[static_cast<unsigned>(use.check)]));
    }
    m_rcx_span = -1;  // a second access of this instruction finds it changed
    m_latest_span = use.check;
    return x86asm::ptr(rcx, use.offset, bytes);
}

void Emitter::check_alignment(const x86asm::Mem& at, const SharedUse& use, unsigned alignment) {
    if (alignment <= 1) {
        return;
    }
    if (!shares(use)) {
        clobber_flags();
        a.test(x86asm::cl, static_cast<int>(alignment - 1));
        a.jne(slow());
        return;
    }
    Span& span = m_spans[static_cast<unsigned>(use.check)];
    const unsigned residue = (alignment - use.offset % alignment) % alignment;  // that the span's address must have
    if (span.alignment >= alignment && span.residue % alignment == residue) {
        return;
    }
    clobber_flags();
    a.lea(eax, at);
    a.test(x86asm::al, static_cast<int>(alignment - 1));
    a.jne(slow());
    span.alignment = alignment;
    span.residue = residue;
}

// Whether this instruction is the first to use one of its spans.
bool Emitter::will_check() const {
    const auto unchecked = [&](const SharedUse& use) {
        return use.any() && !m_spans[static_cast<unsigned>(use.check)].checked;
    };
    return !m_careful && (unchecked(m_one->operand_use) || unchecked(m_one->stack_use));
}

// The same instruction where every access is checked by itself.
asmjit::Label Emitter::careful() {
    std::vector<CarefulEntry>& entries = m_careful_entries[m_block];
    if (entries.empty() || entries.back().instruction != m_in_block) {
        const FlagState flags{.host = false, .memory = m_flags.memory, .recipe = m_flags.recipe};
        entries.push_back({static_cast<uint16_t>(m_in_block), a.newLabel(), flags});
    }
    return entries.back().label;
}

asmjit::Label Emitter::slow() {
    if (m_asks_careful) {
        return careful();  // the interpreter would leave the span unchecked
    }
    if (!m_slow.isValid()) {
        m_slow = a.newLabel();
        m_slow_recipe = m_one->live_in != 0 && !m_flags.memory ? m_flags.recipe : nullptr;
    }
    return m_slow;
}

}  // namespace skep::jit
