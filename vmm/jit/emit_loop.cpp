// SPDX-License-Identifier: GPL-3.0-or-later
// Later rounds of a loop (loops.hpp), and the small tables that loops look into: Runtime::pages has the page where the table
// was in the round before. With that the operand's address does not wait for a look into the TLB, only a branch does.
#include <algorithm>
#include <bit>

#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::rax;
using x86asm::rcx;

constexpr int32_t k_page = 4096;

bool has_home(ZydisRegister reg) {
    const int number = guest_number(reg);
    return number >= 0 && lives_in_host(static_cast<unsigned>(number));
}
x86asm::Gp home_of(ZydisRegister reg) {
    return x86asm::gpq(static_cast<unsigned>(k_host_of_guest[static_cast<unsigned>(guest_number(reg))]));
}

}  // namespace

// --- rounds --------------------------------------------------------------------------------------------------------------
// The version of a loop's block that a way to it may enter.
int Emitter::round_to_enter(int block) const {
    if (block == k_outside || m_guest->blocks[static_cast<size_t>(block)].first_round == k_outside) {
        return block;
    }
    const FlagState wanted = entry_flags(block);
    const bool same_recipe = m_flags.recipe != nullptr && wanted.recipe != nullptr &&
                             m_flags.recipe->offset == wanted.recipe->offset;
    return !m_careful && same_recipe ? block : m_guest->blocks[static_cast<size_t>(block)].first_round;
}

void Emitter::begin_later_rounds(const GuestBlock& block) {
    for (size_t i = 0; i < block.checks.size(); ++i) {
        m_spans[i].checked = block.checks[i].follow == Follow::still;
    }
}

// The end of a later round. The flags can be made again.
void Emitter::emit_next_round(x86asm::CondCode condition, int block, int64_t offset) {
    const asmjit::Label over = a.newLabel();
    const FlagState before = m_flags;
    a.j(x86asm::negateCond(condition), over);
    m_flags.host = false;
    const asmjit::Label out = way_out(offset, ExitKind::run_loop);
    a.cmp(slot(&m_places.core->requests, 4), 0);
    a.je(m_labels[static_cast<size_t>(block)]);
    a.jmp(out);
    m_flags = before;
    a.bind(over);
}

// In later rounds: the first one has found the operand aligned.
bool Emitter::is_where_it_was(const SharedUse& use) const {
    const GuestBlock& block = m_guest->blocks[m_block];
    return block.first_round != k_outside && block.checks[static_cast<size_t>(use.check)].follow == Follow::still;
}

// --- pages ---------------------------------------------------------------------------------------------------------------
// Is the use in a span that is looked for on a page of Runtime::pages?
bool Emitter::is_on_loop_page(const SharedUse& use) const {
    return shares(use) && m_guest->blocks[m_block].checks[static_cast<size_t>(use.check)].follow == Follow::page;
}

// rcx becomes what to add to linear addresses of the span.
void Emitter::check_loop_page(unsigned i, const SharedUse& use) {
    const auto index = static_cast<size_t>(use.check);
    const GuestBlock& block = m_guest->blocks[m_block];
    const SharedCheck& check = block.checks[index];
    const FoundPage& page = runtime().pages[index];
    const Look look{check.size, check.writes ? AccessKind::write : AccessKind::read};
    const bool is_later = block.first_round != k_outside;
    // In the first round nobody may go on past a page that was not found.
    const asmjit::Label otherwise = is_later ? slow() : careful();
    PagePath path{a.newLabel(), a.newLabel(), a.newLabel(), m_one, i, use.offset, &page, look, {}};
    clobber_flags();
    effective_address(i, rcx, use.offset);
    if (is_later) {
        path.miss = missed(look, path.learn, otherwise).label;
        a.sub(rcx, slot(&page.tag));
        a.cmp(rcx, k_page - static_cast<int32_t>(look.bytes));
        a.ja(path.elsewhere);
        a.mov(rcx, slot(&page.addend));
    } else {
        find_entry();
        check_page(look, missed(look, path.learn, otherwise).label);
        learn_page(page, look.kind);
    }
    m_page_paths.push_back(path);
    a.bind(path.found);
    m_spans[index].checked = true;
    m_rcx_span = use.check;
}

// Of the entry at rax. rcx is the addend afterwards.
void Emitter::learn_page(const FoundPage& page, AccessKind kind) {
    a.mov(rcx, tag_field(kind));
    a.mov(slot(&page.tag), rcx);
    a.mov(rcx, entry_field(offsetof(interp::TlbEntry, addend)));
    a.mov(slot(&page.addend), rcx);
}

void Emitter::emit_page_paths() {
    for (const PagePath& path : m_page_paths) {
        m_one = path.one;
        if (path.miss.isValid()) {
            a.bind(path.elsewhere);
            a.add(rcx, slot(&path.page->tag));
            find_entry();
            check_page(path.look, path.miss);
            learn_page(*path.page, path.look.kind);
            a.jmp(path.found);
        }
        a.bind(path.learn);  // rcx is the host's address of the span
        a.mov(slot(&path.page->addend), rcx);
        effective_address(path.operand, rcx, path.below);
        a.mov(rax, rcx);
        a.and_(rax, -k_page);
        a.mov(slot(&path.page->tag), rax);
        a.neg(rcx);
        a.add(rcx, slot(&path.page->addend));
        a.mov(slot(&path.page->addend), rcx);
        a.jmp(path.found);
    }
}

// It may be anything that one memory operand can be.
x86asm::Mem Emitter::loop_page_operand(unsigned i) {
    const SharedUse& use = m_one->operand_use;
    const FoundPage& page = runtime().pages[static_cast<size_t>(use.check)];
    if (!m_spans[static_cast<size_t>(use.check)].checked) {
        check_loop_page(i, use);
    } else if (m_rcx_span != use.check) {
        a.mov(rcx, slot(&page.addend));
    }
    m_rcx_span = m_latest_span = -1;
    const ZydisDecodedOperandMem& memory = operand(i).mem;
    const unsigned bytes = operand(i).size / 8U;
    const auto displacement = static_cast<int32_t>(memory.disp.has_displacement ? memory.disp.value : 0);
    const bool has_base = memory.base != ZYDIS_REGISTER_NONE, has_index = memory.index != ZYDIS_REGISTER_NONE;
    if ((has_base && !has_home(memory.base)) || (has_index && !has_home(memory.index))) {
        effective_address(i, rcx);
        a.mov(rax, slot(&page.addend));
        a.lea(rcx, x86asm::ptr(rcx, rax));
        return x86asm::ptr(rcx, 0, bytes);
    }
    if (!has_index) {
        m_latest_span = use.check;
        return has_base ? x86asm::ptr(home_of(memory.base), rcx, 0, displacement, bytes)
                        : x86asm::ptr(rcx, displacement, bytes);
    }
    if (has_base) {
        a.lea(rcx, x86asm::ptr(rcx, home_of(memory.base)));
    }
    return x86asm::ptr(rcx, home_of(memory.index), static_cast<unsigned>(std::countr_zero(memory.scale)), displacement, bytes);
}

}  // namespace skep::jit
