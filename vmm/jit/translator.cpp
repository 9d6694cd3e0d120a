// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/translator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "vmm/interp/blocks.hpp"
#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/jit/helpers.hpp"
#include "vmm/jit/thunks.hpp"
#include "vmm/x86/cpuid.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::jit {
namespace {

constexpr size_t k_most_region_bytes = size_t{128} << 10;  // of code
constexpr uint32_t k_most_region_sites = 4 * k_most_instructions;

const std::byte* page_of(const std::byte* host) {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{k_page_mask});
}
uint32_t place_of(uint32_t offset, uint32_t key) { return offset | key << 16; }

// The first op of a translated block.
void run_translated(interp::Core& core, const interp::Op* op) {
    auto& translator = static_cast<JitTranslator&>(*core.translator);
    if (translator.enter(*static_cast<Region*>(const_cast<void*>(op->data))) == ExitKind::unknown_target) {
        if (interp::is_next_block_known(core)) {
            SKEP_TAIL_CALL interp::next_block(core, op);
        }
        if (core.code64 && !x86::is_canonical(core.rip) && translator.undo_branch()) {
            interp::raise(interp::k_gp, 0);
        }
    }
}

}  // namespace

std::unique_ptr<JitTranslator> JitTranslator::create(interp::Core& core, size_t cache_bytes, uint32_t threshold,
                                                     const ProfileOptions& options) {
    auto cache = CodeCache::create(cache_bytes);
    const bool host_can = x86::host_vector_features().bmi2 && x86::host_vector_features().avx;
    if (!cache || !host_can || !interp::is_low(&core, sizeof core)) {
        return nullptr;
    }
    auto made = std::unique_ptr<JitTranslator>(new JitTranslator(core, std::move(cache), threshold));
    if (!made->make_profile(options) || !interp::is_low(made->m_runtime.get(), sizeof(Runtime)) || !made->m_returns.is_low() ||
        !make_thunks(*made->m_cache, made->m_places)) {
        return nullptr;
    }
    made->m_returns.set_empty(made->m_places.thunks.return_to_nothing);
    made->m_emitter = std::make_unique<Emitter>(made->m_places, made->m_sites);
    made->m_thunk_bytes = made->m_cache->used();
    made->thunks_made();
    return made;
}

JitTranslator::~JitTranslator() {
    if (m_profile) {
        m_profile->attribute_samples(m_regions);
        m_report(m_profile->report(m_stats));
    }
}

// Before the thunks.
bool JitTranslator::make_profile(const ProfileOptions& options) {
    m_perf_map = options.perf_map;
    if (!options.report) {
        return true;
    }
    m_report = options.report;
    m_profile = std::make_unique<Profile>(m_core.vcpu->index());
    m_places.counters = &m_profile->counters();
    return m_profile->is_low();
}

void JitTranslator::thunks_made() {
    const uint64_t behind = m_cache->next(), begin = behind - m_thunk_bytes;
    if (m_profile) {
        m_profile->set_code(begin, behind, behind + m_cache->room());
    }
    if (m_perf_map) {
        m_perf_map->add(begin, m_thunk_bytes, "skep thunks");
    }
}

JitTranslator::JitTranslator(interp::Core& core, std::unique_ptr<CodeCache> cache, uint32_t threshold)
    : m_core(core), m_threshold(threshold), m_cache(std::move(cache)), m_runtime(interp::make_low<Runtime>()), m_returns(*m_runtime) {
    m_runtime->translator = this;
    m_runtime->interpret = reinterpret_cast<uintptr_t>(&interpret_site);
    m_runtime->refill = reinterpret_cast<uintptr_t>(&refill_tlb);
    m_places.core = &core;
    m_places.runtime = m_runtime.get();
}

uint32_t JitTranslator::threshold(const interp::DecodeMode& mode) const {
    return mode.code64 || mode.key() == k_flat_mode.key() ? m_threshold : 0;
}

// --- entering ------------------------------------------------------------------------------------------------------------
ExitKind JitTranslator::enter(Region& region) {
    ++m_stats.entries;
    const uint64_t rip = m_core.gpr[17];
    region.has_aliases = region.has_aliases || rip != region.linear;
    m_runtime->page_base = rip & ~k_page_mask;
    m_runtime->jump_targets[jump_target_index(rip)] = {.page_key = m_runtime->page_base | m_core.code_context,
                                                     .code = region.entry};
    m_returns.choose(m_core.code_context);
    using Enter = ExitKind (*)(uint64_t code);
    const auto code = reinterpret_cast<Enter>(m_places.thunks.enter);
    if (m_profile) [[unlikely]] {
        return enter_profiled(code, region);
    }
    return code(region.entry);
}

bool JitTranslator::undo_branch() {
    if (m_runtime->unknown_site == 0) {
        return false;
    }
    const auto* site = reinterpret_cast<const JumpSite*>(m_runtime->unknown_site);
    const SiteBranch branch = m_runtime->site_branches[static_cast<size_t>(site - m_runtime->jump_sites.data())];
    const auto offset = static_cast<SiteBranch>(branch & ~k_site_calls);
    if (offset == k_no_branch) {
        return false;
    }
    if ((branch & k_site_calls) != 0) {
        m_core.gpr[k_rsp] += sizeof(uint64_t);
        m_runtime->return_top += sizeof(ReturnFrame);
    }
    m_core.rip = m_runtime->page_base + offset;
    return true;
}

ExitKind JitTranslator::enter_profiled(ExitKind (*code)(uint64_t), const Region& region) {
    if (m_profile->wants_attribution()) {
        m_profile->attribute_samples(m_regions);
    }
    m_profile->now(ThreadActivity::in_translated_code);
    const ExitKind kind = code(region.entry);
    m_profile->now(ThreadActivity::interpreting);
    if (kind == ExitKind::unknown_target) {
        ++m_stats.unknown_targets;
        m_profile->unknown_target(m_core.rip);
    }
    return kind;
}

// --- making --------------------------------------------------------------------------------------------------------------
bool JitTranslator::translate(interp::Core& core, interp::Block& block) {
    if (m_cache->room() < k_most_region_bytes || m_runtime->jump_sites_used + k_most_region_sites > k_jump_sites) {
        core.requests.fetch_or(interp::k_request_flush_tlb);  // which drops all code, this block's too
        return false;
    }
    if (m_profile) {
        m_profile->now(ThreadActivity::translating);
    }
    Region* region = find_region(block.host, block.key);
    if (region == nullptr) {
        region = make_region(block.host, block.key);
    }
    if (m_profile) {
        m_profile->now(ThreadActivity::interpreting);
    }
    if (region == nullptr) {
        return false;
    }
    interp::Op& first = *block.ops();
    first.run = run_translated;
    first.data = region;
    return true;
}

// What is there already, be it in the middle of a region.
Region* JitTranslator::find_region(const std::byte* host, uint32_t key) {
    const auto page = m_pages.find(page_of(host));
    if (page == m_pages.end()) {
        return nullptr;
    }
    const auto offset = static_cast<uint16_t>(host - page->first);
    if (const auto known = page->second.regions.find(place_of(offset, key)); known != page->second.regions.end()) {
        return known->second;
    }
    for (const auto& [place, region] : page->second.regions) {
        const auto block = std::ranges::lower_bound(region->blocks, offset, {}, &RegionBlock::offset);
        if (region->key == key && block != region->blocks.end() && block->offset == offset) {
            return make_second_entry(*region, *block);
        }
    }
    return nullptr;
}

Region* JitTranslator::make_second_entry(const Region& of, const RegionBlock& block) {
    const uint64_t base = m_cache->next();
    asmjit::CodeHolder code;
    Emitter::Output output;
    Region entry;
    entry.host_page = of.host_page;
    entry.entry = base;
    entry.linear = m_core.gpr[17];
    entry.offset = block.offset;
    entry.key = of.key;
    if (code.init(asmjit::Environment::host(), base) != asmjit::kErrorOk ||
        m_emitter->emit_second_entry(code, of.entry + block.code, block.wants_host_flags, entry, output) !=
            Emitter::Outcome::done ||
        !place_code(code, *m_cache)) {
        return nullptr;
    }
    entry.stale_exit = base + output.stale_exit;
    Region& region = m_regions.emplace_back(std::move(entry));
    link(region, output);
    ++m_stats.second_entries;
    return &region;
}

// The bytes of m_guest become watched code. False when they changed meanwhile.
bool JitTranslator::watch(const std::byte* host_page, uint64_t clears) {
    if (m_core.memory->marks_of(host_page) == nullptr) {
        return true;  // ROM
    }
    const std::byte* lowest = host_page + m_guest.lowest;
    const unsigned size = m_guest.highest - m_guest.lowest;
    m_core.vm->watch_code(*m_core.vcpu, lowest, size, false);
    return m_core.vm->code_clears() == clears && std::memcmp(m_copy.data() + m_guest.lowest, lowest, size) == 0;
}

// The host's place of the page behind the one that rip is on; null when that is no RAM that may be executed.
const std::byte* JitTranslator::next_page(uint64_t rip) {
    const uint64_t linear = (rip & ~k_page_mask) + k_page_size;
    if (!x86::is_canonical(linear) || (!m_core.code64 && linear > 0xffff'ffff)) {
        return nullptr;
    }
    const interp::AccessRule rule = m_core.cpl == 3 ? interp::k_as_user : interp::k_as_supervisor;
    const std::byte* host = interp::try_resolve(m_core, linear, interp::Access::execute, rule).host;
    return host != nullptr && m_core.memory->marks_of(host) != nullptr ? host : nullptr;
}

// Fills m_copy and forms m_guest.
void JitTranslator::copy_code(const std::byte* host_page, unsigned offset, uint32_t key) {
    m_guest.code64 = mode_of(key).code64;
    std::memcpy(m_copy.data(), host_page, k_page_size);
    form_region(std::span(m_copy).first(k_page_size), offset, m_guest);
    if (!m_guest.wants_next_page) {
        return;
    }
    if (const std::byte* next = next_page(m_core.gpr[17])) {
        std::memcpy(m_copy.data() + k_page_size, next, interp::k_longest_instruction);
        form_region(m_copy, offset, m_guest);
    }
}

bool JitTranslator::find_next_page(Site& site, uint64_t rip) {
    const uint64_t key = (rip & ~k_page_mask) | m_core.code_context;
    if (site.next_page != nullptr && site.next_page->page_key == key) {
        return true;
    }
    const std::byte* next = next_page(rip);
    const unsigned here = k_page_size - site.offset;
    const auto same = [&] { return std::memcmp(site.bytes.data() + here, next, site.length - here) == 0; };
    if (next == nullptr || !same()) {
        return false;
    }
    if (site.next_page == nullptr) {
        return true;
    }
    const uint64_t clears = m_core.vm->code_clears();
    m_core.vm->watch_code(*m_core.vcpu, next, site.length - here, true);
    if (m_core.vm->code_clears() != clears || !same() || m_core.code_context != (key & k_page_mask)) {
        return false;
    }
    site.next_page->page_key = key;
    m_pages[next].straddlers.push_back(site.next_page);
    return true;
}

Region* JitTranslator::make_region(const std::byte* host, uint32_t key) {
    const std::byte* host_page = page_of(host);
    const uint64_t clears = m_core.vm->code_clears();
    const auto offset = static_cast<uint16_t>(host - host_page);
    copy_code(host_page, offset, key);
    if (m_guest.instructions.empty() || !watch(host_page, clears)) {
        return nullptr;
    }
    Region& region = m_regions.emplace_back();
    region.host_page = host_page;
    region.offset = offset;
    region.key = key;
    region.linear = m_core.gpr[17];
    if (!emit(region)) {
        ++m_stats.failed;
        return nullptr;
    }
    return &region;
}

bool JitTranslator::emit(Region& region) {
    constexpr unsigned k_attempts = 16;
    const uint32_t jump_sites = m_runtime->jump_sites_used;
    for (unsigned attempt = 0; attempt < k_attempts; ++attempt) {
        find_live_units(m_guest);
        find_shared_checks(m_guest);
        find_live_flags(m_guest);
        const uint64_t base = m_cache->next();
        asmjit::CodeHolder code;
        Emitter::Output output;
        if (code.init(asmjit::Environment::host(), base) != asmjit::kErrorOk) {
            return false;
        }
        const Emitter::Outcome outcome = m_emitter->emit(code, m_guest, m_copy, region, output);
        if (outcome == Emitter::Outcome::again) {
            m_runtime->jump_sites_used = jump_sites;
            continue;
        }
        if (outcome == Emitter::Outcome::failed || !place_code(code, *m_cache)) {
            return false;
        }
        region.entry = base;
        region.stale_exit = base + output.stale_exit;
        region.blocks = output.blocks;
        for (const uint32_t at : output.returns) {
            region.returns.push_back(base + at);
        }
        link(region, output);
        ++m_stats.regions;
        m_stats.instructions += m_guest.instructions.size();
        m_stats.host_bytes += m_cache->next() - base;
        m_stats.fallbacks += output.fallbacks;
        if (m_perf_map) {
            m_perf_map->add(base, m_cache->next() - base, fmt::format("guest {:x}", region.linear));
        }
        return true;
    }
    return false;
}

// Ties the region's ways out to what is there on its page, and those that waited for it to it.
void JitTranslator::link(Region& region, const Emitter::Output& output) {
    Page& page = m_pages[region.host_page];
    const uint32_t place = place_of(region.offset, region.key);
    page.regions[place] = &region;
    if (const auto waiting = page.waiting.find(place); waiting != page.waiting.end()) {
        for (const uint64_t at : waiting->second) {
            m_cache->patch_target(at, region.entry);
        }
        page.waiting.erase(waiting);
    }
    for (const Emitter::Link& out : output.links) {
        const uint32_t wanted = place_of(out.target, region.key);
        if (const auto found = page.regions.find(wanted); found != page.regions.end()) {
            m_cache->patch_target(region.entry + out.at, found->second->entry);
        } else {
            page.waiting[wanted].push_back(region.entry + out.at);
        }
    }
}

// --- forgetting ----------------------------------------------------------------------------------------------------------
void JitTranslator::drop_page(const std::byte* host_page) {
    const auto found = m_pages.find(host_page);
    if (found == m_pages.end()) {
        return;
    }
    ++m_stats.dropped_pages;
    std::vector<uint64_t> entries;
    for (const auto& [place, region] : found->second.regions) {
        region->stale = true;
        m_cache->patch_jump(region->entry, region->stale_exit);
        for (const uint64_t at : region->returns) {
            m_cache->patch_jump(at, m_places.thunks.stale_return);
        }
        forget_target(*region);
        entries.push_back(region->entry);
    }
    for (JumpSite* site : found->second.straddlers) {
        site->page_key = 0;
    }
    m_pages.erase(found);
    if (!entries.empty()) {
        forget_sites(entries);
    }
}

// A stale region would leave to the run loop whenever it is entered, so nobody shall know it any longer.
void JitTranslator::forget_target(const Region& region) {
    const auto forget = [&](JumpTarget& target) {
        if (target.code == region.entry) {
            target = {};
        }
    };
    if (region.has_aliases) {
        std::ranges::for_each(m_runtime->jump_targets, forget);
    } else {
        forget(m_runtime->jump_targets[jump_target_index(region.linear)]);
    }
}

void JitTranslator::forget_sites(std::vector<uint64_t>& entries) {
    std::ranges::sort(entries);
    for (JumpSite& site : std::span(m_runtime->jump_sites).first(m_runtime->jump_sites_used)) {
        if (site.code >= entries.front() && site.code <= entries.back() && std::ranges::binary_search(entries, site.code)) {
            site = {};
        }
    }
}

void JitTranslator::forget_contexts() {
    ++m_stats.forgotten_contexts;
    m_runtime->jump_targets.fill({});
    std::fill_n(m_runtime->jump_sites.begin(), m_runtime->jump_sites_used, JumpSite{});
    m_returns.forget();
    m_core.requests.fetch_or(interp::k_request_interrupt);  // that running code is left: its stack is nobody's now
}

void JitTranslator::clear() {
    ++m_stats.clears;
    if (m_profile) {
        m_profile->attribute_samples(m_regions);
    }
    m_pages.clear();
    m_regions.clear();
    m_sites.clear();
    m_runtime->jump_targets.fill({});
    m_runtime->jump_sites_used = 0;
    m_returns.forget();
    m_cache->rewind(m_thunk_bytes);
}

}  // namespace skep::jit
