// SPDX-License-Identifier: GPL-3.0-or-later
// Interrupts at arbitrary moments. The engine under test runs a case while another thread interrupts it; its handlers log
// where they came in. Then the interpreter goes through the same case instruction by instruction and takes each interrupt
// where its registers are those of the log: if there is no such boundary, or anything differs afterwards, the engine erred.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "tests/vmm/jit/lockstep/machine.hpp"
#include "vmm/interp/vm.hpp"

namespace skep::lockstep {

class AsynchronousLockstep {
  public:
    explicit AsynchronousLockstep(Hypervisor& engine);
    ~AsynchronousLockstep();
    AsynchronousLockstep(const AsynchronousLockstep&) = delete;
    AsynchronousLockstep& operator=(const AsynchronousLockstep&) = delete;

    // The difference, or empty. What interrupts come when is chance.
    [[nodiscard]] std::string run_case(const Case& one, const Assembled& code);
    // Interrupts from outside that were taken so far.
    [[nodiscard]] uint64_t taken() const { return m_taken; }

  private:
    void interrupt_others();
    [[nodiscard]] bool depends_on_steps(const Case& one, const Assembled& code);

    interp::InterpHypervisor m_interpreter;
    std::unique_ptr<Machine> m_machine, m_replayed;
    std::atomic<uint64_t> m_running{0};  // odd: interrupt now
    std::atomic<bool> m_stop{false};
    std::thread m_thread;
    uint64_t m_taken = 0;
};

}  // namespace skep::lockstep
