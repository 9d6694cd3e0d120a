// SPDX-License-Identifier: GPL-3.0-or-later
// Machine: vCPUs, memory, buses and a list of devices, driven as one: start, pause, resume, reset.
// It knows no device by name; app/worker composes it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/clock.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/device/device.hpp"
#include "vmm/irq/local_apic.hpp"
#include "vmm/machine/vcpu_runner.hpp"

namespace skep {

// What the machine wants of its owner. Raised on any thread, often with device locks held below: post it
// to the control loop and return.
struct MachineEvent {
    enum class Kind {
        reset,         // the guest asked for a reset: call Machine::reset(), or exit
        power_off,     // ACPI S5
        halted,        // every vCPU sleeps with interrupts off
        triple_fault,  // detail: which vCPU
        cpu_failed,    // the back end gave up; detail says why
        no_space,      // the host's disk is full; detail is the sentence
        debug_exit,    // code is the exit code
        panic,         // the guest's system says that it crashed; its processors go on
    };
    Kind kind;
    int code = 0;
    std::string detail;
};

// Puts the first instructions and their state in place at every reset (direct boots); firmware needs none.
using BootLoad = std::function<Status(GuestMemory& memory, CpuState& boot_processor)>;

class Machine final : private MachineRequests, private ProcessorSignals, private RunnerEvents {
  public:
    using EventHandler = std::function<void(MachineEvent)>;

    Machine(std::unique_ptr<GuestMemory> memory, std::unique_ptr<Vm> vm, EventHandler on_event);
    ~Machine() override;

    [[nodiscard]] GuestMemory& memory() { return *m_memory; }
    [[nodiscard]] IoSpace& ports() { return m_ports; }
    [[nodiscard]] IoSpace& mmio() { return m_mmio; }
    [[nodiscard]] HostClock& clock() { return m_clock; }
    [[nodiscard]] MachineRequests& requests() { return *this; }
    [[nodiscard]] ProcessorSignals& processors() { return *this; }
    [[nodiscard]] WriteLog& write_log() { return m_vm->write_log(); }

    // --- composition, before start() ---
    // Devices are reset, started and saved in the order they are added, paused in reverse.
    void add_device(std::unique_ptr<Device> device);
    // A device owned by a kept object (a part of the board).
    void add_device(Device& device);
    void keep(std::shared_ptr<void> object) { m_kept.push_back(std::move(object)); }
    Status add_vcpu(LocalInterruptController& local_apic);
    void set_boot_load(BootLoad load) { m_boot_load = std::move(load); }

    // --- control thread ---
    Status start();
    void pause();
    // The guest's clocks, all of them, have then counted the pause as well: a guest without an agent has no other way to
    // a right wall clock, and its timers and its peers on the network stay on the same time. It is told that it stood
    // still where it can be (kvmclock), so that it does not take the pause for a lock-up.
    void resume();
    // Stops the vCPUs only: device requests stay in flight (held for want of host space). resume() goes on.
    void hold() { stop_vcpus(); }
    Status reset();  // keeps running or paused, as it was
    [[nodiscard]] bool paused() const { return m_paused; }
    // Does every vCPU sleep with nothing to wake it? Any thread; may change at once.
    [[nodiscard]] bool all_asleep() const;
    [[nodiscard]] unsigned cpu_count() const { return static_cast<unsigned>(m_runners.size()); }
    [[nodiscard]] uint64_t instructions() const;
    [[nodiscard]] Nanoseconds uptime() const { return m_clock.now(); }

  private:
    void request(MachineRequest what, int code, const std::string& detail) override;
    void interrupt_changed(unsigned cpu) override;
    void nmi(unsigned cpu) override;
    void init(unsigned cpu) override;
    void startup(unsigned cpu, uint8_t vector) override;
    uint64_t tsc_now() override { return m_vm->tsc_now(); }
    uint64_t tsc_hz() override { return m_vm->tsc_hz(); }
    void triple_fault(unsigned cpu) override;
    void vcpu_failed(unsigned cpu, const std::string& why) override;
    void halted_forever(unsigned cpu) override;

    void stop_vcpus();
    void resume_vcpus();
    Status load_reset_state();

    std::unique_ptr<GuestMemory> m_memory;
    std::unique_ptr<Vm> m_vm;
    EventHandler m_on_event;
    HostClock m_clock;
    IoSpace m_ports{"port"};
    IoSpace m_mmio{"mmio"};
    std::vector<std::shared_ptr<void>> m_kept;
    std::vector<std::unique_ptr<Device>> m_owned;
    std::vector<Device*> m_devices;
    BootLoad m_boot_load;
    std::vector<std::unique_ptr<VcpuRunner>> m_runners;
    bool m_paused = true;
    std::chrono::steady_clock::time_point m_paused_since;
};

}  // namespace skep
