// SPDX-License-Identifier: GPL-3.0-or-later
// KvmVcpu: one KVM processor. Hides the exit-and-complete dance: run() calls out and comes back only at an
// instruction boundary.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <mutex>
#include <pthread.h>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/cpu/vcpu.hpp"

namespace skep::kvm {

class KvmVcpu final : public Vcpu {
  public:
    KvmVcpu(Fd vcpu, size_t run_size);
    ~KvmVcpu() override;
    Status initialise(const std::vector<kvm_cpuid_entry2>& cpuid);

    RunExit run(CpuIo& io) override;
    void kick(KickReason reason) override;
    void inject_nmi() override;
    void save(CpuState& state) override;
    void load(const CpuState& state) override;
    [[nodiscard]] std::string last_error() const override { return m_error; }
    [[nodiscard]] uint64_t instructions() const override { return 0; }
    [[nodiscard]] uint64_t tsc_hz() const;

  private:
    enum class Step { go_on, halted, shutdown, failed };

    [[nodiscard]] RunExit run_until_exit(CpuIo& io);
    [[nodiscard]] Step enter(CpuIo& io);
    void inject_interrupt(CpuIo& io);
    void set_immediate_exit(uint8_t value);
    void adopt_apic_base(CpuIo& io);
    [[nodiscard]] Step handle_exit(CpuIo& io);
    void handle_port(CpuIo& io);
    void handle_mmio(CpuIo& io);
    void synchronise_apic(CpuIo& io);

    Fd m_fd;
    const size_t m_run_size;
    kvm_run* m_run = nullptr;
    bool m_access_open = false;    // a port or MMIO access is finished only by the next KVM_RUN
    bool m_halted = false;
    uint64_t m_apic_base = 0;
    bool m_apic_base_known = false;
    std::atomic<bool> m_leave{false};
    std::mutex m_thread_mutex;     // guards m_thread and m_running against kick()
    pthread_t m_thread{};
    bool m_running = false;
    std::string m_error;
};

}  // namespace skep::kvm
