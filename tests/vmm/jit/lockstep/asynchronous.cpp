// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/asynchronous.hpp"

#include <x86intrin.h>

#include <algorithm>
#include <cstring>

#include "tests/vmm/interp/oracle_generator.hpp"
#include "tests/vmm/jit/lockstep/compare.hpp"
#include "vmm/interp/core.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/vcpu.hpp"

namespace skep::lockstep {
namespace {

struct Interrupt {
    Record record;
    uint64_t log_next;  // how far the log was
    TakenInterrupt taken;
};

std::vector<Interrupt> interrupts_of(const Machine& machine) {
    Control control;
    std::memcpy(&control, machine.ram().data() + k_control, sizeof control);
    const uint64_t end = std::min(control.log_next - k_supervisor_window, k_log_end);
    const std::vector<TakenInterrupt>& taken = machine.io().interrupts();
    std::vector<Interrupt> found;
    for (uint64_t at = k_log; at + sizeof(Record) <= end && found.size() < taken.size(); at += sizeof(Record)) {
        Record record;
        std::memcpy(&record, machine.ram().data() + at, sizeof record);
        // an INT n of the program looks alike, but no interrupt was acknowledged for it
        const bool is_interrupt = record.vector >= k_vector_irq && record.vector < k_vector_irq_end;
        if (is_interrupt && taken[found.size()].vector == record.vector) {
            found.push_back({record, at + k_supervisor_window, taken[found.size()]});
        }
    }
    return found;
}

// Interrupts come where the log says. The processor looks after each instruction because one is always "perhaps" there.
class ReplayIo final : public LockstepIo {
  public:
    // The first `skips` boundaries that look right for interrupt number `at` are passed over: in a loop that changes only
    // vector registers nothing else tells which turn it was.
    void begin(std::vector<Interrupt> interrupts, size_t at = 0, unsigned skips = 0) {
        m_interrupts = std::move(interrupts);
        m_next = 0;
        m_skip_at = at;
        m_skips = skips;
    }
    bool interrupt_pending() override {
        const interp::Core& core = static_cast<interp::InterpVcpu*>(vcpu)->core();
        if (m_next == m_interrupts.size()) {
            return false;
        }
        if (is_here(core, m_interrupts[m_next])) {
            if (m_next != m_skip_at || m_skips == 0) {
                return true;
            }
            --m_skips;
        }
        if (core.activity == Activity::running) {
            vcpu->kick(KickReason::interrupt);
        }
        return false;
    }
    uint8_t acknowledge_interrupt() override {
        const auto vector = static_cast<uint8_t>(m_interrupts[m_next++].record.vector);
        note_interrupt(vector);
        if (m_next < m_interrupts.size()) {
            vcpu->kick(KickReason::interrupt);
        }
        return vector;
    }

  protected:
    void raised_by_port(uint8_t) override {}

  private:
    [[nodiscard]] bool is_here(const interp::Core& core, const Interrupt& interrupt) const {
        const Record& record = interrupt.record;
        if (core.rip != record.rip || interp::read_rflags(core) != record.rflags || core.gpr[k_rsp] != record.rsp ||
            core.segment[k_cs].selector != record.cs || core.cr2 != record.cr2 || core.cr3 != record.cr3) {
            return false;
        }
        // The same registers may come again in a later round or behind another event.
        Control control;
        std::memcpy(&control, core.memory->ram().data() + k_control, sizeof control);
        if (control.log_next != interrupt.log_next || control.round != record.round || accesses() != interrupt.taken.accesses) {
            return false;
        }
        unsigned at = 0;
        for (unsigned reg = 16; reg-- > 0;) {
            if (reg != k_rsp && core.gpr[reg] != record.gpr[at++]) {
                return false;
            }
        }
        // A loop may change nothing but memory from turn to turn.
        return memory_hash() == interrupt.taken.memory;
    }
    std::vector<Interrupt> m_interrupts;
    size_t m_next = 0, m_skip_at = 0;
    unsigned m_skips = 0;
};

// A watched data address that nothing touches: the interpreter goes step by step.
CpuState stepping(CpuState state) {
    state.dr[3] = 0x12'3450;
    state.dr7 = 0x400 | 0x80 | 1U << 28;  // G3, on writes
    return state;
}

}  // namespace

AsynchronousLockstep::AsynchronousLockstep(Hypervisor& engine) : m_machine(std::make_unique<Machine>(engine)) {
    m_replayed = std::make_unique<Machine>(m_interpreter, std::make_unique<ReplayIo>());
    m_machine->io().remember_memory();
    m_replayed->io().remember_memory();
    m_replayed->set_patience(std::chrono::seconds(2));  // it goes step by step
    m_thread = std::thread([this] { interrupt_others(); });
}

AsynchronousLockstep::~AsynchronousLockstep() {
    m_stop.store(true);
    m_thread.join();
}

void AsynchronousLockstep::interrupt_others() {
    test::Random random(__rdtsc());
    uint64_t seen = 0;
    while (!m_stop.load()) {
        const uint64_t now = m_running.load();
        if (now == seen || now % 2 == 0) {
            std::this_thread::yield();
            continue;
        }
        while (m_running.load() == now) {
            const uint64_t until = __rdtsc() + random.below(40'000);
            while (__rdtsc() < until && m_running.load() == now) {
                _mm_pause();
            }
            m_machine->io().raise(static_cast<uint8_t>(k_vector_irq + random.below(32)));
        }
        seen = now;
    }
}

// A REP that overwrites itself goes on as it was until it is interrupted, so where it is interrupted matters.
bool AsynchronousLockstep::depends_on_steps(const Case& one, const Assembled& code) {
    Case stepped = one;
    stepped.start = stepping(one.start);
    static_cast<ReplayIo&>(m_replayed->io()).begin({});
    m_replayed->load(one, code);
    const Ending ending = m_replayed->run();
    Machine other(m_interpreter, std::make_unique<ReplayIo>());
    other.load(stepped, code);
    const Ending other_ending = other.run();
    other.forget_breakpoints(one.start);
    return !compare(*m_replayed, ending, other, other_ending).empty();
}

std::string AsynchronousLockstep::run_case(const Case& one, const Assembled& code) {
    Case calm = one;
    calm.start.rflags |= 0x200;
    m_machine->load(calm, code);
    m_running.fetch_add(1);
    Ending ending = m_machine->run();
    if (ending == Ending::endless) {  // or was it only slow?
        ending = m_machine->run_patiently(calm, code);
    }
    m_running.fetch_add(1);
    const std::vector<Interrupt> interrupts = interrupts_of(*m_machine);
    m_taken += interrupts.size();
    const CpuState start = calm.start;
    calm.start = stepping(start);
    const auto replay = [&](size_t skip_at, unsigned skips) {
        static_cast<ReplayIo&>(m_replayed->io()).begin(interrupts, skip_at, skips);
        m_replayed->load(calm, code);
        const Ending replayed = m_replayed->run();
        m_replayed->forget_breakpoints(start);
        return compare(*m_replayed, replayed, *m_machine, ending);
    };
    const std::string difference = replay(0, 0);
    constexpr unsigned k_most_skips = 4;
    for (size_t at = 0; !difference.empty() && at < interrupts.size(); ++at) {
        for (unsigned skips = 1; skips <= k_most_skips; ++skips) {
            if (replay(at, skips).empty()) {
                return {};
            }
        }
    }
    return difference.empty() || depends_on_steps(one, code) ? std::string() : difference;
}

}  // namespace skep::lockstep
