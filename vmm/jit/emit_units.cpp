// SPDX-License-Identifier: GPL-3.0-or-later
// Instructions of the vector and x87 units: their registers are made live first.
#include "vmm/jit/emitter.hpp"

namespace skep::jit {

bool Emitter::emit_on_unit() {
    for (unsigned i = 0; i < operand_count(); ++i) {
        if (is_memory(i) && !can_address(i)) {
            return false;
        }
    }
    wake_units();
    return is_x87(m_one->decoded) ? emit_x87(*this) : emit_vector(*this);
}

// Those that are not known to be live are looked at.
void Emitter::wake_units() {
    const UnitUse& needed = m_one->units;
    const Runtime& state = runtime();
    if (needed.vectors > m_one->live_before.vectors) {
        wake(needed.vectors == VectorUse::avx ? state.avx_asleep : state.vectors_asleep, m_places.thunks.wake_vectors);
    }
    if (needed.x87 && !m_one->live_before.x87) {
        wake(state.x87_asleep, m_places.thunks.wake_x87);
    }
}

void Emitter::wake(const uint32_t& asleep, uint64_t thunk) {
    clobber_flags();
    const WakePath path{a.newLabel(), a.newLabel(), slow(), &asleep, thunk};
    a.cmp(slot(&asleep, 4), 0);
    a.jne(path.label);
    a.bind(path.back);
    m_wake_paths.push_back(path);
}

void Emitter::emit_wake_paths() {
    for (const WakePath& path : m_wake_paths) {
        a.bind(path.label);
        a.call(asmjit::imm(path.wake));
        a.cmp(slot(path.asleep, 4), 0);
        a.je(path.back);
        a.jmp(path.slow);
    }
}

}  // namespace skep::jit
