// SPDX-License-Identifier: GPL-3.0-or-later
// The frame of a region's code: entry, blocks in order, and behind them the slow paths and the ways out.
#include "vmm/jit/emitter.hpp"

#include <algorithm>

namespace skep::jit {
namespace {

using x86asm::ecx;
using x86asm::rax;

constexpr unsigned k_short_block = 8;  // instructions

class ErrorRecorder final : public asmjit::ErrorHandler {
  public:
    void handleError(asmjit::Error, const char*, asmjit::BaseEmitter*) override { failed = true; }
    bool failed = false;
};

// How many instructions of a block come before the jump at its end.
unsigned body_of(const GuestBlock& block) {
    const bool last_is_apart = block.end == BlockEnd::jump || block.end == BlockEnd::conditional;
    return block.count - (last_is_apart ? 1U : 0U);
}

// Calls, returns and jumps to who knows where: the flags must be where that expects them.
bool goes_to_other_region(const GuestBlock& block, unsigned instruction) {
    return (block.end == BlockEnd::leaves || block.end == BlockEnd::calls) && instruction + 1 == block.count;
}


}  // namespace

Emitter::Emitter(const Places& places, std::deque<Site>& sites) : m_places(places), m_sites(sites) {}

void Emitter::start(asmjit::CodeHolder& code, GuestRegion& guest) {
    m_code = &code;
    m_guest = &guest;
    m_code64 = guest.code64;
    m_flags = {};
    m_slow = asmjit::Label();
    m_again = false;
    m_careful = false;
    m_asks_careful = false;
    m_labels.clear();
    m_careful_entries.assign(guest.blocks.size(), {});
    m_slow_paths.clear();
    m_wake_paths.clear();
    m_misses.clear();
    m_ways_out.clear();
    m_page_paths.clear();
    m_edge_paths.clear();
    m_far_paths.clear();
    m_full_paths.clear();
    m_return_paths.clear();
    m_entry_flags.assign(guest.blocks.size(), std::nullopt);
    m_bound.assign(guest.blocks.size(), false);
    for (size_t i = 0; i < guest.blocks.size(); ++i) {
        m_labels.push_back(a.newLabel());
    }
    choose_entry_flags();
}

Emitter::Outcome Emitter::emit(asmjit::CodeHolder& code, GuestRegion& guest, std::span<const std::byte> page,
                               Region& region, Output& output) {
    ErrorRecorder errors;
    code.setErrorHandler(&errors);
    code.attach(&a);
    m_page = page;
    m_region = &region;
    m_output = &output;
    output = {};
    start(code, guest);
    emit_entry();
    for (unsigned i = 0; i < guest.blocks.size(); ++i) {
        emit_block(i);
    }
    emit_careful_blocks();
    emit_page_paths();
    emit_edge_paths();
    emit_wake_paths();
    emit_misses();
    emit_slow_paths();
    emit_ways_out();
    emit_call_paths();
    list_blocks();
    code.detach(&a);
    code.setErrorHandler(nullptr);
    return errors.failed ? Outcome::failed : m_again ? Outcome::again : Outcome::done;
}

// Those that take nothing for granted but where the flags are.
void Emitter::list_blocks() {
    for (size_t i = 0; i < m_guest->blocks.size(); ++i) {
        const GuestBlock& block = m_guest->blocks[i];
        const GuestInstruction& first = m_guest->instructions[block.first];
        const FlagState flags = entry_flags(static_cast<int>(i));
        const bool needs_recipe = flags.recipe != nullptr && !flags.memory;
        const bool is_later_round = block.first_round != k_outside;
        if (m_bound[i] && !is_later_round && !first.live_before.any() && !needs_recipe) {
            m_output->blocks.push_back({.offset = first.offset,
                                        .live_flags = first.live_in,
                                        .wants_memory_flags = flags.memory,
                                        .wants_host_flags = flags.host,
                                        .is_better_copied = block.end == BlockEnd::leaves && block.count <= k_short_block,
                                        .code = static_cast<uint32_t>(m_code->labelOffset(m_labels[i]))});
        }
    }
}

Emitter::Outcome Emitter::emit_second_entry(asmjit::CodeHolder& code, uint64_t block, bool wants_host_flags, Region& region,
                                            Output& output) {
    ErrorRecorder errors;
    code.setErrorHandler(&errors);
    code.attach(&a);
    output = {};
    m_code64 = mode_of(region.key).code64;
    m_flags = {.host = false, .memory = true};
    const asmjit::Label out = a.newLabel();
    a.cmp(slot(&m_places.core->requests, 4), 0);
    a.jne(out);
    if (wants_host_flags) {
        load_flags();
    }
    a.jmp(asmjit::imm(block));
    output.stale_exit = static_cast<uint32_t>(a.offset());
    a.bind(out);
    load_page_address(x86asm::rcx, region.offset);
    a.jmp(asmjit::imm(m_places.thunks.leave));
    code.detach(&a);
    code.setErrorHandler(nullptr);
    return errors.failed ? Outcome::failed : Outcome::done;
}

// The first instruction is longer than the jump that takes its place when the region is stale.
void Emitter::emit_entry() {
    m_flags = {.host = false, .memory = true};
    a.cmp(slot(&m_places.core->requests, 4), 0);
    a.jne(way_out(m_region->offset, ExitKind::run_loop));
    prepare_flags_for(0);
}

void Emitter::emit_block(unsigned index) {
    const GuestBlock& block = m_guest->blocks[index];
    m_flags = entry_flags(static_cast<int>(index));
    a.bind(m_labels[index]);
    m_bound[index] = true;
    m_block = index;
    m_spans.fill({});
    m_rcx_span = -1;
    if (block.first_round != k_outside) {
        begin_later_rounds(block);
    }
    const unsigned count = body_of(block);
    for (unsigned i = 0; i < count; ++i) {
        m_in_block = i;
        if (!emit_instruction(m_guest->instructions[block.first + i])) {
            return;
        }
    }
    emit_block_end(index);
}

// The second versions of blocks with shared checks, from the first of these on.
void Emitter::emit_careful_blocks() {
    m_careful = true;
    for (unsigned i = 0; i < m_guest->blocks.size(); ++i) {
        if (!m_careful_entries[i].empty()) {
            emit_careful_block(i);
        }
    }
}

void Emitter::emit_careful_block(unsigned index) {
    const GuestBlock& block = m_guest->blocks[index];
    const std::vector<CarefulEntry>& entries = m_careful_entries[index];
    m_flags = entries.front().flags;
    m_block = index;
    m_rcx_span = -1;
    auto entry = entries.begin();
    const unsigned count = body_of(block);
    for (unsigned i = entry->instruction; i < count; ++i) {
        m_in_block = i;
        GuestInstruction& one = m_guest->instructions[block.first + i];
        if (entry != entries.end() && entry->instruction == i) {
            m_one = &one;
            m_leaves = goes_to_other_region(block, i);
            clobber_flags();  // as the one who jumps here has done
            if (entry->flags.memory && one.live_in != 0) {
                ensure_flags_in_memory();
            }
            m_flags = entry->flags;
            a.bind(entry->label);
            ++entry;
        }
        if (!emit_instruction(one)) {
            return;
        }
    }
    emit_block_end(index);
}

bool Emitter::emit_itself(const GuestInstruction& one) {
    if (one.units.any()) {
        return emit_on_unit();
    }
    const EmitEntry& entry = emit_entry_of(one.decoded.mnemonic);
    return entry.function != nullptr && entry.function(*this, entry.id);
}

bool Emitter::emit_instruction(GuestInstruction& one) {
    m_one = &one;
    m_slow = asmjit::Label();
    m_keeps_rcx = false;
    m_latest_span = m_rcx_span;
    m_asks_careful = will_check();
    m_alignment = 1;
    m_leaves = goes_to_other_region(m_guest->blocks[m_block], m_in_block);
    keep_flags_past_recipe();
    const size_t before = a.offset();
    m_next_page = nullptr;
    if (one.straddles && !one.interpreted) {
        check_next_page();
    }
    const bool emitted = emit_itself(one);
    m_asks_careful = false;
    m_rcx_span = m_keeps_rcx && !m_slow.isValid() ? m_latest_span : -1;
    if (!emitted && a.offset() != before && !one.straddles) {
        a.setOffset(before);  // cannot be: see emitter.hpp
    }
    m_fell_back = !emitted;
    const bool goes_on = emitted || emit_fallback(one);
    finish_instruction(goes_on);
    end_recipe();
    return goes_on;
}

// The part of the instruction that lies on the next page is still there.
void Emitter::check_next_page() {
    clobber_flags();
    m_next_page = new_jump_site(k_no_branch);
    if (m_next_page == nullptr) {
        a.jmp(slow());
        return;
    }
    a.mov(rax, slot(&runtime().page_base));
    a.or_(rax, slot(&m_places.core->code_context));
    a.cmp(rax, slot(&m_next_page->page_key));
    a.jne(slow());
}

uint32_t Emitter::make_site() {
    Site& site = m_sites.emplace_back();
    site.straddles = m_one->straddles;
    site.next_page = m_one->straddles ? m_next_page : nullptr;
    site.region = m_region;
    site.offset = m_one->offset;
    site.length = m_one->decoded.length;
    site.mnemonic = static_cast<uint16_t>(m_one->decoded.mnemonic);
    std::copy_n(m_page.begin() + m_one->offset, site.length, site.bytes.begin());
    return static_cast<uint32_t>(m_sites.size() - 1);
}

// Before the interpreter is called, for the profile. Clobbers the host's flags.
void Emitter::count_site(uint32_t site, CountByMnemonic ProfileCounters::*counts) {
    if (m_places.counters != nullptr) {
        const uint16_t mnemonic = m_sites[site].mnemonic;
        a.add(slot(&(m_places.counters->*counts)[mnemonic]), 1);
        a.mov(slot(&m_places.counters->helping, 4), mnemonic);
    }
}

bool Emitter::emit_fallback(GuestInstruction& one) {
    const bool shares_checks = !m_guest->blocks[m_block].checks.empty();
    if (!one.may_fault || (!one.interpreted && (shares_checks || one.live_after.any()))) {
        one.may_fault = true;
        m_again = true;
    }
    one.interpreted = true;
    ++m_output->fallbacks;
    ensure_flags_in_memory();
    m_flags = {.host = false, .memory = true};
    const uint32_t index = make_site();
    Site& site = m_sites.back();
    site.comes_back = false;
    const interp::Decoded decoded = interp::decode_instruction(std::span(site.bytes).first(site.length), mode_of(m_region->key), 0);
    count_site(index, &ProfileCounters::interpreted);
    a.mov(ecx, index);
    a.call(asmjit::imm(m_places.thunks.interpret[0]));
    return decoded.flow == interp::Flow::next;
}

// When the emitter has asked for a slow path: where that comes back to.
void Emitter::finish_instruction(bool returns) {
    if (!m_slow.isValid()) {
        return;
    }
    const asmjit::Label back = a.newLabel();
    a.bind(back);
    const bool reload = m_flags.host && m_one->live_out != 0;
    const uint32_t site = make_site();
    m_sites.back().comes_back = returns;
    m_slow_paths.push_back({m_slow, back, site, m_slow_recipe, reload, returns, m_one->live_after});
    m_slow = asmjit::Label();
}

void Emitter::emit_slow_paths() {
    for (const SlowPath& path : m_slow_paths) {
        a.bind(path.label);
        if (path.recipe != nullptr) {
            make_flags_of(*path.recipe);
            save_flags();
        }
        count_site(path.site, &ProfileCounters::slow);
        a.mov(ecx, path.site);
        a.call(asmjit::imm(m_places.thunks.interpret[path.returns ? path.live.index() : 0]));
        if (path.reload_flags) {
            m_flags = {.host = false, .memory = true};
            load_flags();
        }
        a.jmp(path.back);
    }
}

void Emitter::emit_block_end(unsigned index) {
    const GuestBlock& block = m_guest->blocks[index];
    GuestInstruction& last = m_guest->instructions[block.first + block.count - 1U];
    m_one = &last;
    m_leaves = false;
    if (last.straddles && (block.end == BlockEnd::jump || block.end == BlockEnd::conditional)) {
        m_slow = asmjit::Label();
        check_next_page();
        finish_instruction(false);
    }
    switch (block.end) {
        case BlockEnd::jump: go_to(block.taken, target_of(last), index); break;
        case BlockEnd::conditional: emit_conditional(block, index, last); break;
        case BlockEnd::falls_through:
        case BlockEnd::calls: go_to(block.next, last.end(), index); break;
        case BlockEnd::leaves:
            if (m_fell_back) {
                go_to(k_outside, last.end(), index);
            }  // else its emitter has seen to it
            break;
    }
}

}  // namespace skep::jit
