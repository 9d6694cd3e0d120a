// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses that the inline check did not find: behind the region's blocks.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using x86asm::eax;
using x86asm::rcx;

// What their mask leaves out is not accessed, and does not fault.
bool is_masked(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS || mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
           mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD || mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
}

}  // namespace

Emitter::Miss& Emitter::missed(const Look& look, const asmjit::Label& found, const asmjit::Label& otherwise) {
    const bool is_own = m_slow.isValid() && otherwise.id() == m_slow.id() && !is_masked(m_one->decoded.mnemonic);
    const unsigned thunk = refill_index(look.kind == AccessKind::write, is_own ? Refill::walks : Refill::knows);
    return m_misses.emplace_back(Miss{.label = a.newLabel(),
                                      .found = found,
                                      .otherwise = otherwise,
                                      .thunk = look.bytes > k_most_refilled ? k_no_thunk : thunk,
                                      .bytes = look.bytes,
                                      .alignment = look.alignment,
                                      .wants_addend = std::nullopt});
}

void Emitter::emit_misses() {
    for (const Miss& miss : m_misses) {
        a.bind(miss.label);
        if (miss.thunk == k_no_thunk) {
            a.jmp(miss.otherwise);
            continue;
        }
        if (miss.alignment > 1) {
            a.test(x86asm::cl, miss.alignment - 1);  // tags are of pages
            a.jne(miss.otherwise);
        }
        if (known_tlb_set() != nullptr) {
            a.lea(eax, entry_field(0));
        }
        a.call(asmjit::imm(m_places.thunks.refill[miss.thunk][miss.bytes]));
        a.jc(miss.otherwise);
        if (miss.wants_addend) {
            a.sub(rcx, miss.wants_addend->baseReg().as<x86asm::Gp>());
            a.lea(rcx, x86asm::ptr(rcx, -static_cast<int32_t>(miss.wants_addend->offset())));
        }
        a.jmp(miss.found);
    }
}

}  // namespace skep::jit
