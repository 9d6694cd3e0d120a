// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses that the inline check did not find: behind the region's blocks.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

// What their mask leaves out is not accessed, and does not fault.
bool is_masked(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS || mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
           mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD || mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
}

}  // namespace

asmjit::Label Emitter::missed(unsigned bytes, AccessKind kind, const asmjit::Label& found,
                              const asmjit::Label& otherwise) {
    if (bytes > k_most_refilled) {
        return otherwise;
    }
    const bool is_own = m_slow.isValid() && otherwise.id() == m_slow.id() && !is_masked(m_one->decoded.mnemonic);
    const unsigned thunk = refill_index(kind == AccessKind::write, is_own ? Refill::walks : Refill::knows);
    m_misses.push_back({a.newLabel(), found, otherwise, thunk, bytes, is_own ? m_alignment : 1});
    return m_misses.back().label;
}

void Emitter::emit_misses() {
    for (const Miss& miss : m_misses) {
        a.bind(miss.label);
        if (miss.alignment > 1) {
            a.test(x86asm::cl, miss.alignment - 1);  // tags are of pages
            a.jne(miss.otherwise);
        }
        a.call(asmjit::imm(m_places.thunks.refill[miss.thunk][miss.bytes]));
        a.jc(miss.otherwise);
        a.jmp(miss.found);
    }
}

}  // namespace skep::jit
