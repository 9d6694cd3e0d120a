// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/return_stacks.hpp"

namespace skep::jit {
namespace {

// A RET to there is looked up when the stack is empty, as any other.
constexpr uint64_t k_no_rip = 0x7fff'5a5a'0001;

uint64_t address_of(const void* place) { return reinterpret_cast<uintptr_t>(place); }

}  // namespace

void emit_host_call(asmjit::x86::Assembler& a, const Runtime& runtime, const uint64_t& function) {
    using asmjit::x86::rsp;
    const auto slot = [](const uint64_t& place) { return asmjit::x86::ptr_abs(address_of(&place), sizeof place); };
    a.mov(slot(runtime.return_top), rsp);
    a.mov(rsp, slot(runtime.host_stack));
    a.call(slot(function));
    a.mov(rsp, slot(runtime.return_top));
}

void ReturnStacks::change(uint64_t context) {
    if (m_context != 0) {
        m_tops[m_context % k_stacks] = m_runtime.return_top;
    }
    const auto index = static_cast<size_t>(context % k_stacks);
    Stack& stack = (*m_stacks)[index];
    m_runtime.return_base = address_of(stack.ends.data());
    m_runtime.return_limit = address_of(stack.frames.data() + 1);
    if (m_owners[index] != context) {
        stack.ends.fill({.code = m_empty, .rip = k_no_rip});
        m_owners[index] = context;
        m_tops[index] = m_runtime.return_base;
    }
    m_runtime.return_top = m_tops[index];
    m_context = context;
}

void ReturnStacks::forget() {
    m_owners.fill(0);
    m_context = 0;
}

}  // namespace skep::jit
