// SPDX-License-Identifier: GPL-3.0-or-later
// JitTranslator's way from a hot block to a region: what belongs to it, its code, and the links to what is there already.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "vmm/interp/mmu.hpp"
#include "vmm/interp/vcpu.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/jit/thunks.hpp"
#include "vmm/jit/translator.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::jit {

namespace {

const std::byte* page_of(const std::byte* host) {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{k_page_mask});
}

}  // namespace

// What a new region on a page finds there.
class JitTranslator::KnownCode final : public CodeSoFar {
  public:
    KnownCode(const JitTranslator& translator, const std::byte* host_page, uint32_t key)
        : m_reach(translator.m_tuning.reach),
          m_blocks(translator.m_core.vcpu->blocks()),
          m_host_page(host_page),
          m_key(key) {
        const auto found = translator.m_pages.find(host_page);
        m_page = found == translator.m_pages.end() ? nullptr : &found->second;
    }
    [[nodiscard]] bool has_run(unsigned offset) const override {
        const bool may_straddle = offset + interp::k_longest_instruction > k_page_size;  // the interpreter has no such blocks
        return m_reach == Reach::everything || may_straddle || m_blocks.find(m_host_page + offset, m_key) != nullptr;
    }
    [[nodiscard]] std::optional<Elsewhere> find_translated(unsigned offset) const override {
        if (m_reach == Reach::everything || m_page == nullptr) {
            return std::nullopt;
        }
        const auto inside = m_page->blocks.find(code_place(offset, m_key));
        if (inside == m_page->blocks.end() || inside->second.block.is_better_copied) {
            return std::nullopt;
        }
        const auto& [region, block] = inside->second;
        return Elsewhere{.offset = block.offset,
                         .live_flags = block.live_flags,
                         .wants_memory_flags = block.wants_memory_flags,
                         .wants_host_flags = block.wants_host_flags,
                         .code = region->entry + block.code};
    }

  private:
    Reach m_reach;
    const interp::BlockCache& m_blocks;
    const std::byte* m_host_page;
    uint32_t m_key;
    const PageCode* m_page;
};

// What is there already, be it in the middle of a region.
Region* JitTranslator::find_region(const std::byte* host, uint32_t key) {
    const auto page = m_pages.find(page_of(host));
    if (page == m_pages.end()) {
        return nullptr;
    }
    const CodePlace place = code_place(static_cast<uint32_t>(host - page->first), key);
    if (const auto known = page->second.regions.find(place); known != page->second.regions.end()) {
        return known->second;
    }
    const auto inside = page->second.blocks.find(place);
    return inside == page->second.blocks.end() ? nullptr : make_second_entry(inside->second);
}

// On the running page.
Region* JitTranslator::make_second_entry(const PageCode::Inside& inside) {
    const auto& [of, block] = inside;
    const uint64_t base = m_cache->next();
    asmjit::CodeHolder code;
    Emitter::Output output;
    Region entry;
    entry.host_page = of->host_page;
    entry.entry = base;
    entry.linear = (m_core.gpr[17] & ~k_page_mask) + block.offset;
    entry.offset = block.offset;
    entry.key = of->key;
    if (code.init(asmjit::Environment::host(), base) != asmjit::kErrorOk ||
        m_emitter->emit_second_entry(code, of->entry + block.code, block.wants_host_flags, entry, output) !=
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
    const KnownCode known(*this, host_page, key);
    m_guest.code64 = mode_of(key).code64;
    m_guest.flags_of_products = m_tuning.flags_of_products;
    std::memcpy(m_copy.data(), host_page, k_page_size);
    form_region(std::span(m_copy).first(k_page_size), offset, known, m_guest);
    if (!m_guest.wants_next_page) {
        return;
    }
    if (const std::byte* next = next_page(m_core.gpr[17])) {
        std::memcpy(m_copy.data() + k_page_size, next, interp::k_longest_instruction);
        form_region(m_copy, offset, known, m_guest);
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
        for (const uint32_t at : output.returns) {
            region.returns.push_back(base + at);
        }
        add_blocks(region, output);
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

// The blocks of the region are entered there from now on, whoever comes to them.
void JitTranslator::add_blocks(const Region& region, const Emitter::Output& output) {
    PageCode& page = m_pages[region.host_page];
    for (const RegionBlock& block : output.blocks) {
        page.blocks.try_emplace(code_place(block.offset, region.key), PageCode::Inside{&region, block});
        m_core.vcpu->blocks().hurry(region.host_page + block.offset, region.key);
    }
}

// Ties the region's ways out to what is there on its page, and those that waited for it to it.
void JitTranslator::link(Region& region, const Emitter::Output& output) {
    PageCode& page = m_pages[region.host_page];
    const CodePlace place = code_place(region.offset, region.key);
    page.regions[place] = &region;
    if (const auto waiting = page.waiting.find(place); waiting != page.waiting.end()) {
        for (const uint64_t at : waiting->second) {
            m_cache->patch_target(at, region.entry);
        }
        page.waiting.erase(waiting);
    }
    for (const Emitter::Link& out : output.links) {
        if (const Region* to = find_region(region.host_page + out.target, region.key)) {
            m_cache->patch_target(region.entry + out.at, to->entry);
        } else {
            page.waiting[code_place(out.target, region.key)].push_back(region.entry + out.at);
        }
    }
}

}  // namespace skep::jit
