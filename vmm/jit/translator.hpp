// SPDX-License-Identifier: GPL-3.0-or-later
// JitTranslator: one vCPU's translated code. It is entered by the first op of a hot block, and left to the interpreter.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm/interp/translator.hpp"
#include "vmm/jit/code_cache.hpp"
#include "vmm/jit/emitter.hpp"
#include "vmm/jit/page_code.hpp"
#include "vmm/jit/perf_map.hpp"
#include "vmm/jit/profile.hpp"
#include "vmm/jit/region.hpp"
#include "vmm/jit/return_stacks.hpp"
#include "vmm/jit/runtime.hpp"
#include "vmm/jit/site.hpp"
#include "vmm/jit/spin_patience.hpp"
#include "vmm/jit/tuning.hpp"
#include "vmm/interp/low_memory.hpp"

namespace skep::jit {

// Counted on the vCPU's thread.
struct JitStats {
    uint64_t regions = 0, second_entries = 0, instructions = 0, host_bytes = 0, fallbacks = 0, failed = 0;
    uint64_t dropped_pages = 0, clears = 0, forgotten_contexts = 0;
    uint64_t entries = 0, unknown_targets = 0;
    uint64_t spin_waits = 0;
};

// For those who want to see where the time goes.
struct ProfileOptions {
    std::function<void(const std::string& text)> report;  // called when the processor goes; empty: no profile
    std::shared_ptr<PerfMap> perf_map;                    // may be null
};

class JitTranslator final : public interp::Translator {
  public:
    // Null when this host cannot translate (no BMI2 or AVX, no executable or no low memory).
    static std::unique_ptr<JitTranslator> create(interp::Core& core, size_t cache_bytes, const Tuning& tuning,
                                                 const ProfileOptions& options = {});
    ~JitTranslator() override;
    JitTranslator(const JitTranslator&) = delete;
    JitTranslator& operator=(const JitTranslator&) = delete;

    [[nodiscard]] uint32_t threshold(const interp::DecodeMode& mode) const override;
    bool translate(interp::Core& core, interp::Block& block) override;
    void drop_page(const std::byte* host_page) override;
    void forget_contexts() override;
    void clear() override;

    // The bytes of `site`, at `rip`, on the next page are still the ones it was made of; from now on a change is noticed.
    // False: what is there is a matter for the run loop. On behalf of translated code.
    bool find_next_page(Site& site, uint64_t rip);

    // Runs translated code from a region's entry, which Core::gpr[17] points to.
    ExitKind enter(Region& region);

    // After ExitKind::unknown_target: whether a direct branch has come to Core::rip, which is then where that branch lies,
    // and everything as before it; but for what a CALL has pushed, below the stack.
    bool undo_branch();

    // For a helper that translated code called: that goes on at Core::rip instead of behind the call.
    void go_elsewhere() {
        m_runtime->return_top += sizeof(uint64_t);  // the call's
        m_returns.choose(m_core.code_context);
    }

    // Runtime::pauses_left is 0. On behalf of translated code.
    void wait_in_spin_loop();

    [[nodiscard]] Site& site(uint32_t index) { return m_sites[index]; }
    [[nodiscard]] interp::Core& core() { return m_core; }
    [[nodiscard]] Runtime& runtime() { return *m_runtime; }
    [[nodiscard]] const JitStats& stats() const { return m_stats; }

  private:
    class KnownCode;

    JitTranslator(interp::Core& core, std::unique_ptr<CodeCache> cache, const Tuning& tuning);
    Region* find_region(const std::byte* host, uint32_t key);
    Region* make_second_entry(const PageCode::Inside& inside);
    Region* make_region(const std::byte* host, uint32_t key);
    void copy_code(const std::byte* host_page, unsigned offset, uint32_t key);
    const std::byte* next_page(uint64_t rip);
    bool watch(const std::byte* host_page, uint64_t clears);
    bool emit(Region& region);
    void forget_target(const Region& region);
    void forget_sites(std::vector<uint64_t>& entries);
    bool make_profile(const ProfileOptions& options);
    void thunks_made();
    ExitKind enter_profiled(ExitKind (*code)(uint64_t), const Region& region);
    void add_blocks(const Region& region, const Emitter::Output& output);
    void link(Region& region, const Emitter::Output& output);

    interp::Core& m_core;
    Tuning m_tuning;
    std::unique_ptr<CodeCache> m_cache;
    interp::LowPointer<Runtime> m_runtime;
    ReturnStacks m_returns;
    Places m_places;
    size_t m_thunk_bytes = 0;
    std::deque<Region> m_regions;
    std::deque<Site> m_sites;
    std::unordered_map<const std::byte*, PageCode> m_pages;
    std::unique_ptr<Emitter> m_emitter;
    GuestRegion m_guest;
    std::array<std::byte, 4096 + interp::k_longest_instruction> m_copy{};  // of a page and the start of the next one
    SpinPatience m_spin_patience;
    JitStats m_stats;
    std::function<void(const std::string&)> m_report;
    std::unique_ptr<Profile> m_profile;  // null: none wanted
    std::shared_ptr<PerfMap> m_perf_map;
};

}  // namespace skep::jit
