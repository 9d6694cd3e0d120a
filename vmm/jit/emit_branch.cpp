// SPDX-License-Identifier: GPL-3.0-or-later
// Near JMP, Jcc, CALL, RET (SDM 2) and every other way from block to block.
#include "vmm/jit/emitter.hpp"
#include "vmm/jit/return_stacks.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
using x86asm::eax;
using x86asm::ecx;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;

constexpr int64_t k_page = 4096;

bool fits_int32(int64_t value) { return value == static_cast<int32_t>(value); }
bool is_on_page(int64_t offset) { return offset >= 0 && offset < k_page; }

x86asm::CondCode condition_of(const GuestInstruction& one) {
    constexpr x86asm::CondCode k_codes[16] = {
        x86asm::CondCode::kO,  x86asm::CondCode::kNO, x86asm::CondCode::kB,  x86asm::CondCode::kNB,
        x86asm::CondCode::kZ,  x86asm::CondCode::kNZ, x86asm::CondCode::kBE, x86asm::CondCode::kNBE,
        x86asm::CondCode::kS,  x86asm::CondCode::kNS, x86asm::CondCode::kP,  x86asm::CondCode::kNP,
        x86asm::CondCode::kL,  x86asm::CondCode::kNL, x86asm::CondCode::kLE, x86asm::CondCode::kNLE};
    return k_codes[one.decoded.opcode & 0xf];
}

// The target of an indirect jump or call into rcx. False: not emitted.
bool target_to_rcx(Emitter& e) {
    if (!e.has_word_operands() || e.one().decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return false;
    }
    if (e.is_memory(0)) {
        if (!e.can_address(0)) {
            return false;
        }
        e.clobber_flags();
        e.a.mov(e.as_word(rcx), e.access(0));
        return true;
    }
    e.clobber_flags();
    e.change_rcx();
    const x86asm::Gp from = e.read(e.reg(0), rcx);
    if (from.id() != rcx.id()) {
        e.a.mov(e.as_word(rcx), from);
    }
    return true;
}

// Only indirect ones come here.
bool emit_jump(Emitter& e, InstId) {
    if (!target_to_rcx(e)) {
        return false;
    }
    e.leave_to_rcx();
    return true;
}

// The access comes first, then what cannot fail.
void push_return_address(Emitter& e) {
    const int word = static_cast<int>(e.word());
    const x86asm::Mem to = e.access_stack(k_guest_rsp, -word, Emitter::AccessKind::write);
    e.load_page_address(rax, e.one().end());
    e.a.mov(to, e.as_word(rax));
    e.move_stack(-word);
    e.push_return_frame();
}

bool emit_call_direct(Emitter& e) {
    const int64_t target = target_of(e.one());
    if (!e.has_word_operands() || !fits_int32(target) || !e.is_canonical(target)) {
        return false;
    }
    e.clobber_flags();
    push_return_address(e);
    e.call_direct(target);
    return true;
}

bool emit_call(Emitter& e, InstId) {
    if (e.is_immediate(0)) {
        return emit_call_direct(e);
    }
    if (!target_to_rcx(e)) {
        return false;
    }
    e.look_up_rcx();
    Runtime& runtime = e.runtime();
    e.a.mov(e.slot(&runtime.spare), rcx);
    e.a.mov(rcx, e.jump_target_code());
    e.a.mov(e.slot(&runtime.spare2), rcx);
    push_return_address(e);
    e.a.mov(rcx, e.slot(&runtime.spare));
    e.a.mov(e.slot(&runtime.page_base), rcx);
    e.a.call(e.slot(&runtime.spare2));
    e.bind_return_point();
    return true;
}

bool emit_return(Emitter& e, InstId) {
    if (!e.has_word_operands() || e.one().decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return false;
    }
    const bool has_count = e.operand_count() != 0 && e.is_immediate(0);
    const int count = has_count ? static_cast<int>(e.operand(0).imm.value.u & 0xffff) : 0;
    e.clobber_flags();
    e.a.mov(e.as_word(rcx), e.access_stack(k_guest_rsp, 0, Emitter::AccessKind::read));
    e.return_to_rcx(static_cast<int>(e.word()) + count);
    return true;
}

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_JMP, emit_jump, Inst::kIdJmp},
    {ZYDIS_MNEMONIC_CALL, emit_call, Inst::kIdCall},
    {ZYDIS_MNEMONIC_RET, emit_return, Inst::kIdRet},
};

}  // namespace

void emit_jump_target_look(x86asm::Assembler& a, const Places& places, const asmjit::Label& unknown) {
    constexpr unsigned k_shift = 4;
    static_assert(sizeof(JumpTarget) == 1U << k_shift && k_jump_targets == 1U << 16);
    const auto context = reinterpret_cast<uintptr_t>(&places.core->code_context);
    a.mov(eax, ecx);
    a.shr(eax, 12);
    a.xor_(eax, ecx);
    a.movzx(eax, x86asm::ax);
    a.shl(eax, k_shift);
    a.and_(rcx, -static_cast<int32_t>(k_page));
    a.or_(rcx, x86asm::ptr_abs(context, sizeof(uint64_t)));
    a.cmp(rcx, jump_target_field(*places.runtime, offsetof(JumpTarget, page_key)));
    a.jne(unknown);
    a.and_(rcx, -static_cast<int32_t>(k_page));
}

x86asm::Mem jump_target_field(const Runtime& runtime, size_t offset) {
    const auto table = reinterpret_cast<uintptr_t>(runtime.jump_targets.data());
    return x86asm::ptr(rax, static_cast<int32_t>(table + offset), sizeof(uint64_t));
}

std::span<const EmitLine> branch_lines() { return k_lines; }

bool Emitter::is_canonical(int64_t offset) const {
    const uint64_t page = m_region->linear & ~static_cast<uint64_t>(k_page - 1);
    return x86::is_canonical(page + static_cast<uint64_t>(offset));
}

void Emitter::load_page_address(const x86asm::Gp& to, int64_t offset) {
    a.mov(to, slot(&runtime().page_base));
    a.lea(as_word(to), x86asm::ptr(to, static_cast<int32_t>(offset)));
}

x86asm::Mem Emitter::jump_target_code() const {
    return jump_target_field(*m_places.runtime, offsetof(JumpTarget, code));
}

void Emitter::look_up_rcx() { emit_jump_target_look(a, m_places, slow()); }

void Emitter::leave_to_rcx() {
    look_up_rcx();
    a.mov(slot(&runtime().page_base), rcx);
    a.jmp(jump_target_code());
}

// --- ways out of the region ------------------------------------------------------------------------------------------------
asmjit::Label Emitter::way_out(int64_t offset, ExitKind kind) {
    const asmjit::Label label = a.newLabel();
    m_ways_out.push_back({label, offset, m_flags, kind, kind == ExitKind::none ? branch_to(offset) : k_no_branch});
    return label;
}

// The current instruction, at the end of its block, goes on at `offset`.
SiteBranch Emitter::branch_to(int64_t offset) const { return offset == m_one->end() ? k_no_branch : m_one->offset; }

// The flags are where that wants them. ExitKind::none: to the code there, if it is known.
void Emitter::emit_way_out(int64_t offset, ExitKind kind, SiteBranch branch) {
    if (kind != ExitKind::none) {
        load_page_address(rcx, offset);
        a.jmp(asmjit::imm(m_places.thunks.leave));
        return;
    }
    if (const Elsewhere* known = m_guest->find_elsewhere(offset)) {
        a.jmp(asmjit::imm(known->code));
        return;
    }
    const FarPath unknown{a.newLabel(), {}, offset, is_on_page(offset) ? nullptr : new_jump_site(branch)};
    m_far_paths.push_back(unknown);
    if (is_on_page(offset)) {
        m_output->links.push_back({static_cast<uint32_t>(a.offset()), static_cast<uint16_t>(offset)});
        a.long_().jmp(unknown.label);
    } else if (unknown.site == nullptr) {
        a.jmp(unknown.label);
    } else {
        check_jump_site(*unknown.site, unknown.label);
        a.jmp(slot(&unknown.site->code));
    }
}

void Emitter::emit_ways_out() {
    for (size_t i = 0; i < m_ways_out.size(); ++i) {
        const WayOut way = m_ways_out[i];
        a.bind(way.label);
        if (i == 0) {
            m_output->stale_exit = static_cast<uint32_t>(a.offset());  // emit_entry() asked for it
        }
        m_flags = way.flags;
        if (way.kind == ExitKind::none) {
            conform_flags_outside(way.offset);
        } else {
            ensure_flags_in_memory();
        }
        emit_way_out(way.offset, way.kind, way.branch);
    }
}

// --- inside the region -----------------------------------------------------------------------------------------------------
// From the end of block `from` to a block, or out to `offset`.
void Emitter::go_to(int block, int64_t offset, unsigned from) {
    if (block == k_outside) {
        conform_flags_outside(offset);
        emit_way_out(offset, ExitKind::none, branch_to(offset));
        return;
    }
    prepare_flags_for(block);
    if (static_cast<unsigned>(block) <= from) {
        jump_back(block, offset);
    } else if (m_careful || static_cast<unsigned>(block) != from + 1) {
        a.jmp(m_labels[static_cast<size_t>(block)]);
    }
}

// Every loop comes through here, or through emit_conditional_back(), and looks whether somebody wants something.
void Emitter::jump_back(int block, int64_t offset) {
    if (m_flags.recipe != nullptr && !entry_flags(block).host) {
        m_flags.host = false;
    }
    const bool keeps_flags = entry_flags(block).host || (m_flags.host && !m_flags.memory);
    const asmjit::Label out = way_out(offset, ExitKind::run_loop);
    if (!keeps_flags) {
        a.cmp(slot(&m_places.core->requests, 4), 0);
        a.je(m_labels[static_cast<size_t>(block)]);
        a.jmp(out);
        return;
    }
    const asmjit::Label near_out = a.newLabel();
    leave_when_requested(near_out);
    a.jmp(m_labels[static_cast<size_t>(block)]);
    a.bind(near_out);
    a.jmp(out);
}

// The flags stay as they are. JRCXZ reaches 127 bytes. With anything in Core::requests the shift leaves nothing.
void Emitter::leave_when_requested(const asmjit::Label& out) {
    static_assert(interp::k_request_fault == 32, "the highest request; together they are a count below 64");
    a.mov(ecx, slot(&m_places.core->requests, 4));
    a.shlx(rcx, slot(&m_places.runtime->top_bit), rcx);
    a.jecxz(rcx, out);
}

void Emitter::emit_conditional_back(x86asm::CondCode condition, int block, int64_t offset) {
    const asmjit::Label over = a.newLabel();
    const bool can_make_flags = m_flags.recipe != nullptr && !entry_flags(block).host;
    if (must_prepare_flags_for(block) || m_flags.memory || can_make_flags) {
        const FlagState before = m_flags;
        a.j(x86asm::negateCond(condition), over);
        prepare_flags_for(block);
        jump_back(block, offset);
        m_flags = before;
        a.bind(over);
        return;
    }
    const asmjit::Label near_out = a.newLabel();
    leave_when_requested(near_out);
    a.j(condition, m_labels[static_cast<size_t>(block)]);
    a.short_().jmp(over);
    a.bind(near_out);
    a.j(condition, way_out(offset, ExitKind::run_loop));
    a.bind(over);
}

void Emitter::emit_conditional(const GuestBlock& block, unsigned index, const GuestInstruction& one) {
    const x86asm::CondCode condition = condition_of(one);
    const int64_t target = target_of(one);
    load_flags();
    const int taken = round_to_enter(block.taken);
    if (taken == k_outside) {
        a.j(condition, way_out(target, ExitKind::none));
    } else if (static_cast<unsigned>(taken) == index && block.first_round != k_outside && !m_careful) {
        emit_next_round(condition, taken, target);
    } else if (static_cast<unsigned>(taken) <= index) {
        emit_conditional_back(condition, taken, target);
    } else if (must_prepare_flags_for(taken)) {
        m_edge_paths.push_back({a.newLabel(), taken, m_flags});
        a.j(condition, m_edge_paths.back().label);
    } else {
        prepare_flags_for(taken);
        a.j(condition, m_labels[static_cast<size_t>(taken)]);
    }
    go_to(block.next, one.end(), index);
}

void Emitter::emit_edge_paths() {
    for (const EdgePath& path : m_edge_paths) {
        a.bind(path.label);
        m_flags = path.flags;
        conform_flags(path.block);
        a.jmp(m_labels[static_cast<size_t>(path.block)]);
    }
}

}  // namespace skep::jit
