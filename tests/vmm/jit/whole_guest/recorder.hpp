// SPDX-License-Identifier: GPL-3.0-or-later
// A back end around another whose guest's run is written down (record.hpp). One processor.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "tests/vmm/jit/whole_guest/record.hpp"
#include "vmm/cpu/vcpu.hpp"
#include "vmm/interp/vm.hpp"

namespace skep::whole_guest {

class Recorder final : public Hypervisor, public interp::Witness {
  public:
    // A mark of memory is made at every so many interrupts.
    Recorder(Hypervisor& inner, unsigned mark_interval) : m_inner(inner), m_mark_interval(mark_interval) {}

    // On the vCPU's thread: before its first instruction, after each byte to COM1. on_console says whether that was the end.
    std::function<void(const CpuState&)> on_start;
    std::function<bool(const std::string& console)> on_console;

    [[nodiscard]] std::string name() const override { return m_inner.name(); }
    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override;
    uint64_t host_number(const interp::Core& core, interp::HostNumber kind, uint64_t value) override;

    void wait_for_end();
    [[nodiscard]] const Record& record() const { return m_record; }

  private:
    class Io;
    class RecordedVcpu;
    class RecordedVm;
    void add(const interp::Core* core, Kind kind, unsigned size, uint64_t where, uint64_t value);
    void add_interrupt(const interp::Core& core, uint8_t vector);
    void end();

    Hypervisor& m_inner;
    unsigned m_mark_interval;
    GuestMemory* m_memory = nullptr;
    Record m_record;
    bool m_ended = false;  // vCPU's thread
    std::mutex m_mutex;
    std::condition_variable m_wake;
    bool m_said_ended = false;
};

}  // namespace skep::whole_guest
