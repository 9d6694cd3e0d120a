// SPDX-License-Identifier: GPL-3.0-or-later
// KvmVm: one KVM virtual machine; keeps its memory slots in step with GuestMemory's flat map.
#pragma once

#include <linux/kvm.h>

#include <memory>
#include <mutex>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/cpu/vcpu.hpp"

namespace skep::kvm {

class KvmVm final : public Vm, private MemoryMapListener, private WriteLog {
  public:
    KvmVm(int device, Fd vm, GuestMemory& memory, const CpuConfig& config);
    ~KvmVm() override;
    Status initialise();

    Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index) override;
    [[nodiscard]] uint32_t cpuid_signature() const override { return m_signature; }
    [[nodiscard]] uint64_t tsc_hz() const override { return m_tsc_hz; }
    [[nodiscard]] uint64_t tsc_now() const override;
    void pause_clock() override {}  // the hardware's TSC runs on, and kvmclock with it
    void resume_clock(uint64_t missed_ns) override;
    [[nodiscard]] WriteLog& write_log() override { return *this; }

  private:
    void memory_map_changed() override;
    // WriteLog: KVM's dirty log of the slots that hold the pages, and the page marks for what devices write.
    void begin_write_log(std::span<std::byte> pages) override;
    void end_write_log() override;
    void collect_writes(std::span<uint64_t> written) override;
    void set_log(std::span<std::byte> pages);
    [[nodiscard]] bool is_logged(const MemoryRange& range) const;
    void collect_slot(uint32_t slot, std::span<uint64_t> written) const;
    Status update_slots();
    Status set_slot(uint32_t slot, const MemoryRange& range);
    [[nodiscard]] std::vector<kvm_cpuid_entry2> cpuid_for(unsigned index) const;
    Status read_supported_cpuid();

    const int m_device;
    Fd m_vm;
    GuestMemory& m_memory;
    const CpuConfig m_config;
    int m_run_size = 0;
    uint32_t m_signature = 0;
    uint64_t m_tsc_hz = 0;
    std::vector<kvm_cpuid_entry2> m_cpuid;
    std::vector<Fd> m_vcpus;  // duplicates, for calls between runs
    std::mutex m_mutex;
    std::vector<MemoryRange> m_slots;  // index = slot number; size 0 = free
    std::span<std::byte> m_log;        // empty: off
    bool m_log_is_new = false;         // some slot's log began only now: all pages count as written
};

}  // namespace skep::kvm
