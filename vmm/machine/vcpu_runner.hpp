// SPDX-License-Identifier: GPL-3.0-or-later
// VcpuRunner: one vCPU's thread. Joins a back end's Vcpu to the buses and its local APIC, sleeps while
// the processor is halted, and carries out INIT, start-up and NMI signals between runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "vmm/bus/io_space.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/irq/local_apic.hpp"

namespace skep {

// Told on the vCPU's thread; must not block.
class RunnerEvents {
  public:
    virtual ~RunnerEvents() = default;
    virtual void triple_fault(unsigned cpu) = 0;
    virtual void vcpu_failed(unsigned cpu, const std::string& why) = 0;
    // HLT with interrupts disabled: only an NMI, INIT or reset can wake this processor.
    virtual void halted_forever(unsigned cpu) = 0;
};

class VcpuRunner final : private CpuIo {
  public:
    VcpuRunner(unsigned index, std::unique_ptr<Vcpu> vcpu, IoSpace& ports, IoSpace& mmio,
               LocalInterruptController& local_apic, RunnerEvents& events, uint32_t cpuid_signature);
    ~VcpuRunner() override;

    // --- control thread ---
    // Replaces the whole state; only while paused. The runner starts paused.
    void load(const CpuState& state);
    void save(CpuState& state);
    // Asks the vCPU to stop at the next instruction boundary (any thread); wait_paused() waits for it.
    void request_pause();
    void wait_paused();
    void resume();

    // --- signals, any thread ---
    void interrupt_changed();
    void nmi();
    void init();
    void startup(uint8_t vector);

    [[nodiscard]] uint64_t instructions() const { return m_vcpu->instructions(); }
    // True while halted with RFLAGS.IF clear, waiting for a start-up IPI, or stopped by a triple fault. Any thread.
    [[nodiscard]] bool asleep_for_good() const { return m_asleep_for_good.load(); }

  private:
    enum class State { waiting, runnable, stopped };

    void run();
    void take_signals();
    void handle_exit(RunExit exit, std::unique_lock<std::mutex>& lock);
    void wait_in_halt(std::unique_lock<std::mutex>& lock);

    // CpuIo
    uint32_t port_read(uint16_t port, unsigned size) override;
    void port_write(uint16_t port, unsigned size, uint32_t value) override;
    uint64_t mmio_read(GuestAddress address, unsigned size) override;
    void mmio_write(GuestAddress address, unsigned size, uint64_t value) override;
    bool interrupt_pending() override { return m_local_apic.interrupt_pending(); }
    uint8_t acknowledge_interrupt() override { return m_local_apic.acknowledge_interrupt(); }
    uint8_t task_priority() override { return m_local_apic.task_priority(); }
    void set_task_priority(uint8_t cr8) override { m_local_apic.set_task_priority(cr8); }
    std::optional<uint64_t> read_apic_msr(uint32_t index) override { return m_local_apic.read_msr(index); }
    bool write_apic_msr(uint32_t index, uint64_t value) override { return m_local_apic.write_msr(index, value); }
    bool is_apic_page(GuestAddress page) override;

    const unsigned m_index;
    const uint32_t m_cpuid_signature;
    std::unique_ptr<Vcpu> m_vcpu;
    IoSpace& m_ports;
    IoSpace& m_mmio;
    LocalInterruptController& m_local_apic;
    RunnerEvents& m_events;

    std::mutex m_mutex;
    std::condition_variable m_wake;
    std::condition_variable m_parked;
    State m_state = State::waiting;
    bool m_pause_requested = true;
    bool m_paused = false;
    bool m_quit = false;
    bool m_woken = false;  // an interrupt may have become pending since the last run began
    bool m_nmi = false;
    bool m_init = false;
    std::optional<uint8_t> m_startup;
    std::atomic<bool> m_asleep_for_good{true};
    std::thread m_thread;
};

}  // namespace skep
