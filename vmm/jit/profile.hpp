// SPDX-License-Identifier: GPL-3.0-or-later
// The profile of one processor's translated code (`--jit-stats`): what made it leave, and where its time went, found out
// by looking at it every few milliseconds. Without one, nothing counts.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm/interp/low_memory.hpp"
#include "vmm/jit/site.hpp"

namespace skep::jit {

struct JitStats;

using CountByMnemonic = std::array<uint64_t, ZYDIS_MNEMONIC_MAX_VALUE + 1>;

// Below 2 GiB: translated code adds here.
struct ProfileCounters {
    CountByMnemonic interpreted{};  // no emitter takes it
    CountByMnemonic slow{};         // its memory was not in the TLB, and other reasons to have the interpreter run it
    CountByMnemonic left_after{};   // the interpreter had to go on after it
    uint64_t site_misses = 0;       // JumpSites that knew another page
    uint64_t other_returns = 0;     // RETs to another RIP than the latest CALL's
    uint32_t helping = 0;           // mnemonic that the interpreter runs for translated code
};

// What the vCPU's thread does, as far as C++ knows.
enum class ThreadActivity : uint8_t { interpreting, translating, in_translated_code };

struct OldSignalStack;

class Profile {
  public:
    explicit Profile(unsigned processor);
    ~Profile();
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    [[nodiscard]] bool is_low() const { return interp::is_low(m_counters.get(), sizeof(ProfileCounters)); }
    [[nodiscard]] ProfileCounters& counters() { return *m_counters; }

    // --- vCPU's thread ---------------------------------------------------------------------------------------------------
    // The code cache: [begin, thunks_end) are the shared pieces.
    void set_code(uint64_t begin, uint64_t thunks_end, uint64_t end);
    // The samples begin when this is first called.
    void now(ThreadActivity activity);
    [[nodiscard]] bool wants_attribution() const { return m_sample_count.load(std::memory_order_relaxed) > k_most_samples / 2; }
    void unknown_target(uint64_t rip);
    // These regions are about to go.
    void attribute_samples(const std::deque<Region>& regions);

    [[nodiscard]] std::string report(const JitStats& stats) const;

  private:
    static constexpr size_t k_most_targets = 1 << 17;        // whose RIP is kept
    static constexpr unsigned k_most_samples = 1 << 16;  // until they are attributed
    static void on_signal(void* info, void* context);
    void start_sampling();
    void take_sample(uint64_t host_rip, uint64_t weight);
    void report_time(std::string& text) const;

    unsigned m_processor;
    interp::LowPointer<ProfileCounters> m_counters;
    uint64_t m_code = 0, m_thunks_end = 0, m_code_end = 0;
    std::atomic<ThreadActivity> m_activity{ThreadActivity::interpreting};
    bool m_sampling = false;
    void* m_timer = nullptr;
    std::unique_ptr<std::byte[]> m_signal_stack;
    std::unique_ptr<OldSignalStack> m_old_stack;

    // By the signal handler, which runs on the vCPU's thread.
    struct Sample {
        uint64_t host_rip, weight;
    };
    std::vector<Sample> m_samples;
    std::atomic<unsigned> m_sample_count{0};
    uint64_t m_lost_samples = 0, m_in_thunks = 0, m_interpreting = 0, m_translating = 0;
    CountByMnemonic m_helping{};

    std::unordered_map<uint64_t, uint64_t> m_unknown_targets;  // by RIP
    std::unordered_map<uint64_t, uint64_t> m_regions;          // samples, by the linear address it was made for
    uint64_t m_user = 0, m_kernel = 0;
};

}  // namespace skep::jit
