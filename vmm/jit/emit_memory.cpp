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
constexpr int32_t k_page_size_signed = 4096;
static_assert(sizeof(interp::TlbEntry) == 1U << k_entry_shift);

bool has_base(ZydisRegister reg) { return reg != ZYDIS_REGISTER_NONE; }

bool fits_int32(int64_t value) { return value == static_cast<int32_t>(value); }

}  // namespace

bool Emitter::can_address(unsigned i) const {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    if (m_one->decoded.address_width != word() * 8 || (!m_code64 && memory.segment == ZYDIS_REGISTER_CS)) {
        return false;
    }
    const int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    return fits_int32(displacement + (memory.base == ZYDIS_REGISTER_RIP ? 4096 + 15 : 0)) ||
           (memory.base == ZYDIS_REGISTER_NONE && memory.index == ZYDIS_REGISTER_NONE);
}

void Emitter::effective_address(unsigned i, const x86asm::Gp& wanted, int below) {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    const x86asm::Gp to = m_code64 ? wanted : as_word(wanted);
    const int64_t displacement = (memory.disp.has_displacement ? memory.disp.value : 0) - below;
    if (memory.base == ZYDIS_REGISTER_RIP) {
        a.mov(rcx, slot(&runtime().page_base));
        a.lea(to, x86asm::ptr(rcx, static_cast<int32_t>(displacement + m_one->end())));
        return;
    }
    if (!has_base(memory.base) && !has_base(memory.index)) {
        if (m_code64) {
            a.mov(to.r64(), asmjit::imm(displacement));
        } else {
            a.mov(to, asmjit::imm(static_cast<uint32_t>(displacement)));
        }
        return;
    }
    const auto offset = static_cast<int32_t>(displacement);
    const unsigned shift = memory.scale == 8 ? 3U : memory.scale / 2U;
    if (!has_base(memory.index)) {
        const x86asm::Gp base = read(memory.base, rcx).r64();
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
        a.lea(to, x86asm::ptr(static_cast<uint64_t>(int64_t{offset}), read(memory.index, rcx).r64(), shift));
        return;
    }
    const x86asm::Gp base = read(memory.base, rcx).r64();
    const x86asm::Gp index = read(memory.index, base.id() == rcx.id() ? rax : rcx).r64();
    a.lea(to, x86asm::ptr(base, index, shift, offset));
}

// --- one look into the TLB -------------------------------------------------------------------------------------------------
// What CPL 3 may do is one set of the TLB; null: it is the one that Core::tlb says (STAC and CLAC change it).
const interp::TlbSet* Emitter::known_tlb_set() const {
    const bool is_user = (m_region->key & (interp::k_user_code | interp::k_aligned_code)) == interp::k_user_code;
    return is_user ? &m_places.core->tlb_sets[interp::k_as_user] : nullptr;
}

// For the linear address in rcx. rax is then what entry_field() counts from.
void Emitter::find_entry() {
    constexpr uint32_t k_mask = (interp::k_tlb_entries - 1) << k_entry_shift;
    a.rorx(eax, ecx, k_page_shift - k_entry_shift);
    a.and_(eax, k_mask);
    if (known_tlb_set() == nullptr) {
        a.add(rax, slot(&m_places.core->tlb));
    }
}

x86asm::Mem Emitter::entry_field(size_t field) const {
    return x86asm::ptr(rax, static_cast<int32_t>(reinterpret_cast<uintptr_t>(known_tlb_set()) + field));
}

x86asm::Mem Emitter::tag_field(AccessKind kind) const {
    return entry_field(kind == AccessKind::write ? offsetof(interp::TlbEntry, write_tag) : offsetof(interp::TlbEntry, read_tag));
}

// The linear address in rcx, less the page's: to `miss` unless the bytes from there are on the page of the entry.
void Emitter::check_page(const Look& look, const asmjit::Label& miss) {
    a.sub(rcx, tag_field(look.kind));
    if (look.says_alignment()) {
        a.test(rcx, -k_page_size_signed | static_cast<int32_t>(look.alignment - 1));
        a.jne(miss);
    } else {
        a.cmp(rcx, 4096 - look.bytes);
        a.ja(miss);
    }
}

// The linear address in rcx becomes the host's.
void Emitter::check_address(const Look& look, const asmjit::Label& otherwise) {
    m_rcx_span = -1;
    const asmjit::Label found = a.newLabel();
    find_entry();
    check_page(look, missed(look, found, otherwise).label);
    a.add(rcx, entry_field(offsetof(interp::TlbEntry, host_page)));
    a.bind(found);
}

void Emitter::look_for_page(AccessKind kind) {
    m_rcx_span = m_latest_span = -1;
    find_entry();
    a.sub(rcx, tag_field(kind));
    a.mov(rax, entry_field(offsetof(interp::TlbEntry, addend)));
}

// `to_rcx(below, bytes)` brings the linear address so many bytes below into rcx, for an access of so many bytes there.
template <typename Address>
x86asm::Mem Emitter::access_at(const SharedUse& use, unsigned bytes, AccessKind kind, Address to_rcx) {
    if (shares(use) && m_spans[static_cast<unsigned>(use.check)].checked) {
        return use_span(use, bytes);
    }
    clobber_flags();
    if (shares(use)) {
        to_rcx(use.offset, m_guest->blocks[m_block].checks[static_cast<unsigned>(use.check)].size);
        check_span(use);
        return use_span(use, bytes);
    }
    to_rcx(0, bytes);
    check_address({bytes, kind, m_alignment}, slow());
    m_latest_span = -1;
    return x86asm::ptr(rcx, 0, bytes);
}

x86asm::Mem Emitter::access(unsigned i) {
    const ZydisDecodedOperand& memory = operand(i);
    const SharedUse& use = m_one->operand_use;
    if (is_on_loop_page(use)) {
        const x86asm::Mem at = loop_page_operand(i);
        a.lea(rcx, at);
        m_latest_span = -1;
        return x86asm::ptr(rcx, 0, at.size());
    }
    const unsigned bytes = memory.size / 8U;
    const bool writes = (memory.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    const AccessKind kind = writes ? AccessKind::write : AccessKind::read;
    return access_at(use, bytes, kind, [&](int below, unsigned size) {
        effective_address(i, rcx, below);
        if (memory.mem.segment == ZYDIS_REGISTER_FS || memory.mem.segment == ZYDIS_REGISTER_GS) {
            add_segment(memory.mem.segment - ZYDIS_REGISTER_ES, size, kind);
        }
    });
}

// The linear address of the operand as one host register and a displacement, when it is that.
std::optional<x86asm::Mem> Emitter::plain_address(unsigned i) const {
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    const int number = guest_number(memory.base);
    if (memory.index != ZYDIS_REGISTER_NONE || number < 0 || !lives_in_host(static_cast<unsigned>(number)) ||
        memory.segment == ZYDIS_REGISTER_FS || memory.segment == ZYDIS_REGISTER_GS) {
        return std::nullopt;
    }
    const int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    const auto host = static_cast<unsigned>(k_host_of_guest[static_cast<unsigned>(number)]);
    return fits_int32(-displacement) ? std::optional(x86asm::ptr(x86asm::gpq(host), static_cast<int32_t>(displacement)))
                                     : std::nullopt;
}

// Only the branch waits for the comparison with the tag, not the address.
x86asm::Mem Emitter::access_at_once(unsigned i) {
    const ZydisDecodedOperand& memory = operand(i);
    if (is_on_loop_page(m_one->operand_use)) {
        return loop_page_operand(i);
    }
    const std::optional<x86asm::Mem> plain = plain_address(i);
    if (!plain || !m_code64 || shares(m_one->operand_use)) {
        return access(i);
    }
    const auto kind = (memory.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 ? AccessKind::write : AccessKind::read;
    const Look look{memory.size / 8U, kind, m_alignment};
    const asmjit::Label found = a.newLabel();
    clobber_flags();
    effective_address(i, rcx);
    m_rcx_span = m_latest_span = -1;
    find_entry();
    Miss& miss = missed(look, found, slow());
    miss.wants_addend = plain;
    check_page(look, miss.label);
    a.mov(rcx, entry_field(offsetof(interp::TlbEntry, addend)));
    a.bind(found);
    return x86asm::ptr(plain->baseReg().as<x86asm::Gp>(), rcx, 0, static_cast<int32_t>(plain->offset()), look.bytes);
}

// FS and GS need not be flat: outside 64-bit mode they have limits.
void Emitter::add_segment(unsigned segment, unsigned bytes, AccessKind kind) {
    interp::Core& core = *m_places.core;
    if (m_code64) {
        a.add(rcx, slot(&core.segment_base[segment]));
        return;
    }
    const SharedUse& use = m_one->operand_use;
    const bool writes = kind == AccessKind::write ||
                        (shares(use) && m_guest->blocks[m_block].checks[static_cast<unsigned>(use.check)].writes);
    a.lea(rax, x86asm::ptr(rcx, static_cast<int32_t>(bytes - 1)));
    a.cmp(rax, slot(&(writes ? core.write_limit : core.read_limit)[segment]));
    a.jg(shares(use) ? careful() : slow());
    a.add(ecx, slot(&core.segment_base[segment], 4));
}

x86asm::Mem Emitter::access_stack(const x86asm::Gp& base, int displacement, AccessKind kind) {
    return access_at(m_one->stack_use, word(), kind, [&](int below, unsigned) {
        a.lea(as_word(rcx), x86asm::ptr(base, displacement - below));
    });
}

// --- shared checks ---------------------------------------------------------------------------------------------------------
// The linear address of the span is in rcx.
void Emitter::check_span(const SharedUse& use) {
    const auto index = static_cast<unsigned>(use.check);
    const SharedCheck& check = m_guest->blocks[m_block].checks[index];
    check_address({check.size, check.writes ? AccessKind::write : AccessKind::read}, careful());
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
        if (!Look{at.size(), AccessKind::read, alignment}.says_alignment()) {
            clobber_flags();
            a.lea(eax, at);
            a.test(x86asm::al, static_cast<int>(alignment - 1));
            a.jne(slow());
        }
        return;
    }
    if (is_where_it_was(use)) {
        return;
    }
    if (is_on_loop_page(use)) {
        clobber_flags();
        a.lea(eax, at);
        a.test(x86asm::al, static_cast<int>(alignment - 1));
        a.jne(slow());
        return;
    }
    Span& span = m_spans[static_cast<unsigned>(use.check)];
    const unsigned residue = (alignment - use.offset % alignment) % alignment;  // that the span's address must have
    if (span.alignment >= alignment && span.residue % alignment == residue) {
        return;
    }
    clobber_flags();
    if (at.offset() % alignment == 0) {
        a.test(x86asm::cl, static_cast<int>(alignment - 1));
    } else {
        a.lea(eax, at);
        a.test(x86asm::al, static_cast<int>(alignment - 1));
    }
    a.jne(slow());
    span.alignment = alignment;
    span.residue = residue;
}

// Nobody else uses the span, and its page is known from the round before.
bool Emitter::is_alone_in_later_round(const SharedUse& use) const {
    const GuestBlock& block = m_guest->blocks[m_block];
    return block.first_round != k_outside && block.checks[static_cast<size_t>(use.check)].uses == 1;
}

// Whether this instruction is the first to use one of its spans, which others rely on.
bool Emitter::will_check() const {
    const auto unchecked = [&](const SharedUse& use) {
        return use.any() && !m_spans[static_cast<unsigned>(use.check)].checked && !is_alone_in_later_round(use);
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
