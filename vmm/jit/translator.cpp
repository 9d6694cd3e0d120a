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

std::unique_ptr<JitTranslator> JitTranslator::create(interp::Core& core, size_t cache_bytes, const Tuning& tuning,
                                                     const ProfileOptions& options) {
    auto cache = CodeCache::create(cache_bytes);
    const bool host_can = x86::host_vector_features().bmi2 && x86::host_vector_features().avx;
    if (!cache || !host_can || !interp::is_low(&core, sizeof core)) {
        return nullptr;
    }
    auto made = std::unique_ptr<JitTranslator>(new JitTranslator(core, std::move(cache), tuning));
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

JitTranslator::JitTranslator(interp::Core& core, std::unique_ptr<CodeCache> cache, const Tuning& tuning)
    : m_core(core), m_tuning(tuning), m_cache(std::move(cache)), m_runtime(interp::make_low<Runtime>()), m_returns(*m_runtime) {
    m_runtime->translator = this;
    m_runtime->interpret = reinterpret_cast<uintptr_t>(&interpret_site);
    m_runtime->refill = reinterpret_cast<uintptr_t>(&refill_tlb);
    m_places.core = &core;
    m_places.runtime = m_runtime.get();
}

uint32_t JitTranslator::threshold(const interp::DecodeMode& mode) const {
    return mode.code64 || mode.key() == k_flat_mode.key() ? m_tuning.threshold : 0;
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

void JitTranslator::wait_in_spin_loop() {
    m_runtime->pauses_left = SpinPatience::k_pauses;
    if (m_core.requests.load(std::memory_order_relaxed) == 0 && m_spin_patience.ran_out()) {
        ++m_stats.spin_waits;
    }
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
