// SPDX-License-Identifier: GPL-3.0-or-later
// The arithmetic flags: in the host's EFLAGS, in Core::status, or both. LAHF and SETO bring them from one to the other
// (interp/flags.hpp), so rax is clobbered; the flags themselves survive a save. When nobody but a fault would want them
// they may be in neither place, as long as they can be made again (emit_recipes.cpp).
#include "vmm/jit/emitter.hpp"

namespace skep::jit {

void Emitter::save_flags() {
    a.lahf();
    a.seto(x86asm::al);
    a.mov(slot(&m_places.core->status, 2), x86asm::ax);
}

void Emitter::ensure_flags_in_memory() {
    if (m_flags.memory) {
        return;
    }
    if (!m_flags.host && m_flags.recipe != nullptr) {
        make_flags_of(*m_flags.recipe);
        m_flags.host = true;
    }
    if (m_flags.host) {
        save_flags();
        m_flags.memory = true;
    }
}

void Emitter::clobber_flags() {
    const bool has_recipe = m_flags.recipe != nullptr &&
                            !(spoils_recipe(*m_one, *m_flags.recipe) && flags_outlive(*m_one));
    if (m_one->live_in != 0 && (!has_recipe || m_leaves)) {
        ensure_flags_in_memory();
    }
    m_flags.host = false;
}

void Emitter::load_flags() {
    if (!m_flags.host && !m_flags.memory && m_flags.recipe != nullptr) {
        make_flags_of(*m_flags.recipe);
        m_flags.host = true;
    } else if (!m_flags.host) {
        a.movzx(x86asm::eax, slot(&m_places.core->status, 2));
        a.add(x86asm::al, 127);  // overflows exactly when bit 0 was set
        a.sahf();
        m_flags.host = true;
    }
}

void Emitter::want_flags() {
    const auto kept = static_cast<uint16_t>(m_one->live_out & ~m_one->flags.kills);
    const bool keeps = m_one->flags.writes != 0 && kept != 0;
    if (m_one->flags.reads != 0 || keeps) {
        load_flags();
    }
}

void Emitter::flags_written() {
    if (m_one->flags.writes != 0) {
        m_flags = {.host = true, .memory = false, .recipe = is_recipe(*m_one) ? m_one : nullptr};
    }
}

bool Emitter::inherits_flags(int block) const {
    const auto index = static_cast<size_t>(block);
    return block != 0 && m_guest->blocks[index].incoming == 1 && !m_bound[index];
}

Emitter::FlagState Emitter::entry_flags(int block) const {
    return m_entry_flags[static_cast<size_t>(block)].value_or(FlagState{.host = false, .memory = true});
}

bool Emitter::must_prepare_flags_for(int block) const {
    const GuestBlock& to = m_guest->blocks[static_cast<size_t>(block)];
    if (inherits_flags(block) || to.first_round != k_outside || m_guest->instructions[to.first].live_in == 0) {
        return false;
    }
    return entry_flags(block).host ? !m_flags.host : !m_flags.memory;
}

// Where a block that does not take them as they are wants them.
void Emitter::conform_flags(int block) {
    const FlagState wanted = entry_flags(block);
    if (m_guest->blocks[static_cast<size_t>(block)].first_round != k_outside) {
        return;
    }
    if (m_guest->instructions[m_guest->blocks[static_cast<size_t>(block)].first].live_in == 0) {
        return;
    }
    if (wanted.memory) {
        ensure_flags_in_memory();
    }
    if (wanted.host) {
        load_flags();
    }
}

// The same for what is outside.
void Emitter::conform_flags_outside(int64_t offset) {
    const Elsewhere* to = m_guest->find_elsewhere(offset);
    if (to == nullptr || (to->live_flags != 0 && to->wants_memory_flags)) {
        ensure_flags_in_memory();
    }
    if (to != nullptr && to->live_flags != 0 && to->wants_host_flags) {
        load_flags();
    }
}

void Emitter::prepare_flags_for(int block) {
    if (inherits_flags(block)) {
        m_entry_flags[static_cast<size_t>(block)] = m_flags;
    } else {
        conform_flags(block);
    }
}

namespace {

// Does the block read flags, or leave some alone, before it clobbers the host's?
bool begins_with_host_flags(const GuestRegion& region, const GuestBlock& block) {
    for (unsigned i = 0; i < block.count; ++i) {
        const GuestInstruction& one = region.instructions[block.first + i];
        if (one.may_fault || one.interpreted) {
            return false;
        }
        if (one.flags.reads != 0 || one.flags.writes != 0) {
            return one.live_in != 0;
        }
    }
    return false;
}

}  // namespace

// A loop that carries flags round has them in the host's; later rounds of a loop can make them again (round_to_enter()).
void Emitter::choose_entry_flags() {
    for (size_t i = 0; i < m_guest->blocks.size(); ++i) {
        if (m_guest->blocks[i].first_round != k_outside) {
            m_entry_flags[i] = FlagState{.host = false, .memory = false, .recipe = last_recipe(*m_guest, m_guest->blocks[i])};
        } else if (begins_with_host_flags(*m_guest, m_guest->blocks[i])) {
            m_entry_flags[i] = FlagState{.host = true, .memory = false};
        }
    }
}

// --- who wants which flags -----------------------------------------------------------------------------------------------
namespace {

// What is wanted where block `index` goes on. A way back looks for requests, and the interrupt it may take shows every flag.
uint16_t live_at(const GuestRegion& region, size_t index, int to) {
    if (to == k_outside) {
        return region.blocks[index].flags_outside;
    }
    const auto block = static_cast<size_t>(to);
    return block > index ? region.instructions[region.blocks[block].first].live_in : k_all_flags;
}

// True when something changed.
bool pass_block(GuestRegion& region, size_t index) {
    const GuestBlock& block = region.blocks[index];
    uint16_t live = k_all_flags;
    if (block.end == BlockEnd::jump) {
        live = live_at(region, index, block.taken);
    } else if (block.end == BlockEnd::falls_through) {
        live = live_at(region, index, block.next);
    } else if (block.end == BlockEnd::conditional) {
        live = static_cast<uint16_t>(live_at(region, index, block.taken) | live_at(region, index, block.next));
    }
    bool changed = false;
    for (unsigned i = block.count; i-- > 0;) {
        GuestInstruction& one = region.instructions[block.first + i];
        one.live_out = live;
        live = one.may_fault && !one.is_sure ? k_all_flags : static_cast<uint16_t>((live & ~one.flags.kills) | one.flags.reads);
        changed = changed || one.live_in != live;
        one.live_in = live;
    }
    return changed;
}

}  // namespace

void find_live_flags(GuestRegion& region) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = region.blocks.size(); i-- > 0;) {
            changed = pass_block(region, i) || changed;
        }
    }
}

}  // namespace skep::jit
