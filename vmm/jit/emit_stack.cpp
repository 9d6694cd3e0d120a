// SPDX-License-Identifier: GPL-3.0-or-later
// PUSH POP LEAVE of words (SDM 2). RSP changes last.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;

int word_of(const Emitter& e) { return static_cast<int>(e.word()); }

x86asm::Mem new_top(Emitter& e) { return e.access_stack(k_guest_rsp, -word_of(e), Emitter::AccessKind::write); }

bool emit_push_memory(Emitter& e) {
    if (!e.can_address(0)) {
        return false;
    }
    e.a.mov(e.as_word(rax), e.access(0));
    e.a.mov(e.slot(&e.runtime().spare), rax);
    const x86asm::Mem to = new_top(e);
    e.a.mov(rax, e.slot(&e.runtime().spare));
    e.a.mov(to, e.as_word(rax));
    e.move_stack(-word_of(e));
    return true;
}

bool emit_push(Emitter& e, InstId) {
    if (!e.has_word_operands() || (e.is_register(0) && guest_number(e.reg(0)) < 0)) {
        return false;
    }
    if (e.is_memory(0)) {
        return emit_push_memory(e);
    }
    const x86asm::Mem to = new_top(e);
    if (e.is_immediate(0)) {
        e.a.mov(to, asmjit::imm(e.immediate(0)));
    } else {
        e.a.mov(to, e.read(e.reg(0), rax));
    }
    e.move_stack(-word_of(e));
    e.keep_rcx();
    return true;
}

bool emit_pop(Emitter& e, InstId) {
    if (!e.has_word_operands() || !e.is_register(0) || guest_number(e.reg(0)) < 0) {
        return false;
    }
    const x86asm::Mem from = e.access_stack(k_guest_rsp, 0, Emitter::AccessKind::read);
    const x86asm::Gp to = e.target(e.reg(0), rax);
    if (to.id() != k_guest_rsp.id()) {
        e.move_stack(word_of(e));
    }
    e.a.mov(to, from);
    e.write_back(e.reg(0), rax);
    e.keep_rcx();
    return true;
}

bool emit_leave(Emitter& e, InstId) {
    if (!e.has_word_operands()) {
        return false;
    }
    const x86asm::Mem from = e.access_stack(x86asm::rbp, 0, Emitter::AccessKind::read);
    e.a.lea(e.as_word(k_guest_rsp), x86asm::ptr(x86asm::rbp, word_of(e)));
    e.a.mov(e.as_word(x86asm::rbp), from);
    e.keep_rcx();
    return true;
}

constexpr EmitLine k_lines[] = {
    {ZYDIS_MNEMONIC_PUSH, emit_push, Inst::kIdPush},
    {ZYDIS_MNEMONIC_POP, emit_pop, Inst::kIdPop},
    {ZYDIS_MNEMONIC_LEAVE, emit_leave, Inst::kIdLeave},
};

}  // namespace

std::span<const EmitLine> stack_lines() { return k_lines; }

}  // namespace skep::jit
