// SPDX-License-Identifier: GPL-3.0-or-later
// PUSH POP LEAVE of 64 bits (SDM 2). RSP changes last.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using asmjit::InstId;
namespace Inst = x86asm::Inst;
using x86asm::rax;
using x86asm::rcx;

void move_stack(Emitter& e, int bytes) { e.a.lea(k_guest_rsp, x86asm::ptr(k_guest_rsp, bytes)); }

x86asm::Mem new_top(Emitter& e) { return e.access_stack(k_guest_rsp, -8, Emitter::AccessKind::write); }

bool emit_push_memory(Emitter& e) {
    if (!e.can_address(0)) {
        return false;
    }
    e.a.mov(rax, e.access(0));
    e.a.mov(e.slot(&e.runtime().spare), rax);
    const x86asm::Mem to = new_top(e);
    e.a.mov(rax, e.slot(&e.runtime().spare));
    e.a.mov(to, rax);
    move_stack(e, -8);
    return true;
}

bool emit_push(Emitter& e, InstId) {
    if (e.one().decoded.operand_width != 64 || (e.is_register(0) && guest_number(e.reg(0)) < 0)) {
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
    move_stack(e, -8);
    e.keep_rcx();
    return true;
}

bool emit_pop(Emitter& e, InstId) {
    if (e.one().decoded.operand_width != 64 || !e.is_register(0) || guest_number(e.reg(0)) < 0) {
        return false;
    }
    const x86asm::Mem from = e.access_stack(k_guest_rsp, 0, Emitter::AccessKind::read);
    const x86asm::Gp to = e.target(e.reg(0), rax);
    if (to.id() != k_guest_rsp.id()) {
        move_stack(e, 8);
    }
    e.a.mov(to, from);
    e.write_back(e.reg(0), rax);
    e.keep_rcx();
    return true;
}

bool emit_leave(Emitter& e, InstId) {
    if (e.one().decoded.operand_width != 64) {
        return false;
    }
    const x86asm::Mem from = e.access_stack(x86asm::rbp, 0, Emitter::AccessKind::read);
    e.a.lea(k_guest_rsp, x86asm::ptr(x86asm::rbp, 8));
    e.a.mov(x86asm::rbp, from);
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
