// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/code_contexts.hpp"

#include "vmm/interp/core.hpp"
#include "vmm/interp/translator.hpp"

namespace skep::interp {

uint16_t CodeContexts::number_of(const Name& name) {
    const uint64_t mixed = (name.view * 0x9e37'79b9 + (name.base >> 4) * 0x85eb'ca6b + name.limit) ^ name.mode;
    Known& known = m_known[(mixed ^ mixed >> 8) % m_known.size()];
    if (known.number != 0 && known.name == name) {
        return known.number;
    }
    if (m_next == k_numbers) {
        forget();
        m_next = 1;
        ++m_rounds;
    }
    known = {name, static_cast<uint16_t>(m_next++)};
    return known.number;
}

void CodeContexts::forget() { m_known.fill({}); }

void refresh_code_context(Core& core) {
    CodeContexts::Name name{.mode = core.code_mode};
    const bool is_user = (core.code_mode & k_user_code) != 0;
    name.view = core.spaces.view(is_user ? AddressSpaces::Privilege::user : AddressSpaces::Privilege::supervisor);
    if (!core.code64) {
        name.base = core.segment_base[k_cs];
        name.limit = core.segment[k_cs].limit;
    }
    const uint64_t round = core.contexts.rounds();
    core.code_context = core.contexts.number_of(name);
    if (core.contexts.rounds() != round) {
        core.jump_cache.fill({});
        if (core.translator != nullptr) {
            core.translator->forget_contexts();
        }
    }
}

void new_code_generation(Core& core) {
    core.contexts.forget();
    refresh_code_context(core);
}

}  // namespace skep::interp
