// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/profile.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "vmm/jit/translator.hpp"

namespace skep::jit {
namespace {

constexpr size_t k_signal_stack_bytes = size_t{64} << 10;
constexpr long k_sample_ns = 1'000'000;
constexpr size_t k_longest_table = 20;

thread_local Profile* t_profile = nullptr;

struct Row {
    uint64_t count;
    std::string name;
};

void add_table(std::string& text, const char* title, std::vector<Row> rows) {
    std::ranges::sort(rows, [](const Row& left, const Row& right) { return left.count > right.count; });
    const uint64_t all = std::accumulate(rows.begin(), rows.end(), uint64_t{0},
                                         [](uint64_t sum, const Row& row) { return sum + row.count; });
    text += fmt::format("{}: {}\n", title, all);
    for (size_t i = 0; i < rows.size() && i < k_longest_table; ++i) {
        text += fmt::format("  {:>12} {}\n", rows[i].count, rows[i].name);
    }
}

std::vector<Row> rows_of(const CountByMnemonic& counts) {
    std::vector<Row> rows;
    for (size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] != 0) {
            rows.push_back({counts[i], ZydisMnemonicGetString(static_cast<ZydisMnemonic>(i))});
        }
    }
    return rows;
}

std::vector<Row> rows_of(const std::unordered_map<uint64_t, uint64_t>& counts) {
    std::vector<Row> rows;
    for (const auto& [address, count] : counts) {
        rows.push_back({count, fmt::format("{:x}", address)});
    }
    return rows;
}

uint64_t sum_of(const CountByMnemonic& counts) { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); }

}  // namespace

struct OldSignalStack {
    stack_t stack{};
};

Profile::Profile(unsigned processor)
    : m_processor(processor),
      m_counters(interp::make_low<ProfileCounters>()),
      m_signal_stack(std::make_unique<std::byte[]>(k_signal_stack_bytes)),
      m_old_stack(std::make_unique<OldSignalStack>()),
      m_samples(k_most_samples) {}

Profile::~Profile() {
    if (m_timer != nullptr) {
        timer_delete(static_cast<timer_t>(m_timer));
    }
    if (t_profile == this) {
        t_profile = nullptr;
        sigaltstack(&m_old_stack->stack, nullptr);
    }
}

void Profile::set_code(uint64_t begin, uint64_t thunks_end, uint64_t end) {
    m_code = begin;
    m_thunks_end = thunks_end;
    m_code_end = end;
}

void Profile::now(ThreadActivity activity) {
    m_activity.store(activity, std::memory_order_relaxed);
    if (!m_sampling) {
        m_sampling = true;
        start_sampling();
    }
}

void Profile::unknown_target(uint64_t rip) {
    if (m_unknown_targets.size() < k_most_targets || m_unknown_targets.contains(rip)) {
        ++m_unknown_targets[rip];
    }
}

// --- samples -------------------------------------------------------------------------------------------------------------
// Translated code has a small stack, so the handler gets one of its own.
void Profile::start_sampling() {
    const stack_t stack{.ss_sp = m_signal_stack.get(), .ss_flags = 0, .ss_size = k_signal_stack_bytes};
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t* info, void* context) { on_signal(info, context); };
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    timer_t timer{};
    t_profile = this;
    if (sigaltstack(&stack, &m_old_stack->stack) != 0 || sigaction(SIGPROF, &action, nullptr) != 0 ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) {
        return;  // the report says that there are no samples
    }
    m_timer = timer;
    const itimerspec interval{.it_interval = {0, k_sample_ns}, .it_value = {0, k_sample_ns}};
    timer_settime(timer, 0, &interval, nullptr);
}

void Profile::on_signal(void* info, void* context) {
    if (t_profile != nullptr) {
        const auto overrun = static_cast<uint64_t>(std::max(static_cast<siginfo_t*>(info)->si_overrun, 0));
        const auto rip = static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
        t_profile->take_sample(rip, overrun + 1);
    }
}

void Profile::take_sample(uint64_t host_rip, uint64_t weight) {
    if (host_rip >= m_code && host_rip < m_thunks_end) {
        m_in_thunks += weight;
    } else if (host_rip >= m_thunks_end && host_rip < m_code_end) {
        const unsigned at = m_sample_count.load(std::memory_order_relaxed);
        if (at == k_most_samples) {
            m_lost_samples += weight;
            return;
        }
        m_samples[at] = {host_rip, weight};
        m_sample_count.store(at + 1, std::memory_order_relaxed);
    } else {
        switch (m_activity.load(std::memory_order_relaxed)) {
            case ThreadActivity::interpreting: m_interpreting += weight; break;
            case ThreadActivity::translating: m_translating += weight; break;
            case ThreadActivity::in_translated_code: m_helping[m_counters->helping] += weight; break;
        }
    }
}

void Profile::attribute_samples(const std::deque<Region>& regions) {
    std::vector<const Region*> by_entry;
    for (const Region& region : regions) {
        if (region.entry != 0) {
            by_entry.push_back(&region);
        }
    }
    std::ranges::sort(by_entry, {}, &Region::entry);
    for (unsigned i = 0; i < m_sample_count.load(std::memory_order_relaxed); ++i) {
        const Sample& sample = m_samples[i];
        const auto behind = std::ranges::upper_bound(by_entry, sample.host_rip, {}, &Region::entry);
        if (behind == by_entry.begin()) {
            m_lost_samples += sample.weight;
            continue;
        }
        const Region& region = **std::prev(behind);
        m_regions[region.linear] += sample.weight;
        (static_cast<int64_t>(region.linear) < 0 ? m_kernel : m_user) += sample.weight;
    }
    m_sample_count.store(0, std::memory_order_relaxed);
}

// --- report --------------------------------------------------------------------------------------------------------------
void Profile::report_time(std::string& text) const {
    const uint64_t helping = sum_of(m_helping);
    const uint64_t all = m_user + m_kernel + m_in_thunks + m_interpreting + m_translating + helping + m_lost_samples;
    if (all == 0) {
        text += "processor time: no samples\n";
        return;
    }
    const auto share = [all](uint64_t part) { return 100.0 * static_cast<double>(part) / static_cast<double>(all); };
    text += fmt::format("processor time, {} samples: translated code {:.1f} % (upper half {:.1f} %, lower half {:.1f} %), "
                        "its thunks {:.1f} %, the interpreter for it {:.1f} %, interpreter and devices {:.1f} %, "
                        "translating {:.1f} %, unknown {:.1f} %\n",
                        all, share(m_user + m_kernel), share(m_kernel), share(m_user), share(m_in_thunks), share(helping),
                        share(m_interpreting), share(m_translating), share(m_lost_samples));
    add_table(text, "samples by region", rows_of(m_regions));
    add_table(text, "samples in the interpreter for translated code, by instruction", rows_of(m_helping));
}

std::string Profile::report(const JitStats& stats) const {
    std::string text = fmt::format("--- translated code of processor {}\n", m_processor);
    text += fmt::format("regions: {} of {} instructions, {} second entries, {} bytes of host code, {} instructions left to the interpreter, "
                        "{} regions failed\n",
                        stats.regions, stats.instructions, stats.second_entries, stats.host_bytes, stats.fallbacks, stats.failed);
    text += fmt::format("entered: {} times; left for an unknown target: {}, for the run loop: {}\n", stats.entries,
                        stats.unknown_targets, stats.entries - stats.unknown_targets);
    text += fmt::format("invalidations: {} pages dropped, {} times everything, {} times the numbers of contexts\n",
                        stats.dropped_pages, stats.clears, stats.forgotten_contexts);
    text += fmt::format("spin loops: stopped {} times for a while\n", stats.spin_waits);
    const ProfileCounters& counters = *m_counters;
    text += fmt::format("jumps: {} direct ones from or to another page than before, {} returns not to the latest call\n",
                        counters.site_misses, counters.other_returns);
    report_time(text);
    add_table(text, "run by the interpreter, by instruction", rows_of(counters.interpreted));
    add_table(text, "slow paths (TLB misses, MMIO, code pages...), by instruction", rows_of(counters.slow));
    add_table(text, "left after the interpreter ran one, by instruction", rows_of(counters.left_after));
    add_table(text, "unknown targets, by RIP", rows_of(m_unknown_targets));
    return text;
}

}  // namespace skep::jit
