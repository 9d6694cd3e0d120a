// SPDX-License-Identifier: GPL-3.0-or-later
// Random programs on two engines, and what is done about a difference: the case is made small and printed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "tests/vmm/jit/lockstep/asynchronous.hpp"
#include "tests/vmm/jit/lockstep/generator.hpp"
#include "tests/vmm/jit/lockstep/machine.hpp"
#include "tests/vmm/jit/lockstep/pool.hpp"

namespace skep::lockstep {

struct Totals {
    uint64_t cases = 0, blocks = 0, events = 0, endless = 0, shutdowns = 0, unassembled = 0;
    uint64_t interruptions = 0;               // from outside
    uint64_t finished = 0;                    // by their own end
    uint64_t products = 0;                    // cases that differed in what multiplications leave undefined, and in nothing else
    std::array<uint64_t, 256> vectors{};      // events by their vector
};

class Lockstep {
  public:
    // All outlive this. `exact`: the other engine with FlagsOfProducts::as_the_host. A program that changes itself may show
    // what a multiplication leaves undefined (SDM 2, IMUL and MUL: SF, ZF, AF and PF); it differs when `exact` does, too.
    Lockstep(Hypervisor& reference, Hypervisor& other, Hypervisor* exact = nullptr);
    // The case of that seed on both: the difference, or empty.
    [[nodiscard]] std::string run_seed(uint64_t seed);
    [[nodiscard]] std::string run_case(const Case& one);
    // The same with interrupts at arbitrary moments, which show everything, on the exact engine, or the other if there is
    // none (asynchronous.hpp).
    [[nodiscard]] std::string run_seed_interrupted(uint64_t seed);
    // From new machines: takes out whatever the difference does not need.
    [[nodiscard]] Case shrink(const Case& one);
    [[nodiscard]] Case make(uint64_t seed, Events events = Events::known) const {
        return Generator(seed, m_pool).make(events);
    }
    [[nodiscard]] const Totals& totals() const { return m_totals; }
    // After a difference: whatever the engines carry along from earlier cases is gone.
    void renew();
    // Cases from `first` on until that many blocks have run or something differs. The report, or empty.
    [[nodiscard]] std::string run_many(uint64_t first, uint64_t blocks);
    [[nodiscard]] std::string report(uint64_t seed, const std::string& difference);
    [[nodiscard]] static std::string describe(const Case& one);

  private:
    void count(const Case& one, Ending ending);
    [[nodiscard]] bool is_equal_on_exact(const Case& one, const Assembled& code, Ending expected);
    bool differs_anew(const Case& one);
    Hypervisor& m_reference_engine;
    Hypervisor& m_other_engine;
    Hypervisor* m_exact_engine;
    Pool m_pool;
    std::unique_ptr<Machine> m_reference, m_other, m_exact;
    std::unique_ptr<AsynchronousLockstep> m_asynchronous;
    Totals m_totals;
};

// The seed of the n-th case of a run.
[[nodiscard]] uint64_t case_seed(uint64_t first, uint64_t n);

}  // namespace skep::lockstep
