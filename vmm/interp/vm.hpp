// SPDX-License-Identifier: GPL-3.0-or-later
// The interpreter as a back end: InterpHypervisor makes InterpVm, which makes InterpVcpu (vcpu.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/cpu/vcpu.hpp"
#include "vmm/interp/translator.hpp"

namespace skep::interp {

class Core;
class InterpVcpu;
class InterpVm;

class InterpHypervisor final : public Hypervisor {
  public:
    [[nodiscard]] std::string name() const override { return "interp"; }
    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override;
};

// The guest's TSC: the host's at the same rate (or scaled to the configured one), less the time that was paused and not
// made up for.
class GuestTsc {
  public:
    GuestTsc(uint64_t guest_hz, uint64_t host_hz);
    [[nodiscard]] uint64_t now() const;  // any thread
    [[nodiscard]] uint64_t hz() const { return m_guest_hz; }
    void pause();
    void resume(uint64_t missed_ns);
    void set(uint64_t guest_ticks);
    // What now() is made of where the rates are the same: the host's TSC less *offset, as long as *paused_at is 0. For
    // code that reads it itself.
    struct Parts {
        const std::atomic<uint64_t>* offset;
        const std::atomic<uint64_t>* paused_at;
    };
    [[nodiscard]] std::optional<Parts> parts() const {
        return m_guest_hz == m_host_hz ? std::optional(Parts{&m_offset, &m_paused_at}) : std::nullopt;
    }

  private:
    [[nodiscard]] uint64_t scaled(uint64_t host_ticks) const;

    uint64_t m_guest_hz;
    uint64_t m_host_hz;
    std::atomic<uint64_t> m_offset;       // host TSC at guest 0
    std::atomic<uint64_t> m_paused_at{0}; // host TSC, 0 while running
};
// Ticks a second of this host's TSC, measured once against the monotonic clock if CPUID does not tell.
[[nodiscard]] uint64_t host_tsc_hz();

// What a processor takes from the host by itself, past CpuIo: the time and random numbers. A witness sees each number and
// may put another in its place, so that a test can record a guest's run and repeat it.
enum class HostNumber : uint8_t { tsc, random };
class Witness {
  public:
    virtual ~Witness() = default;
    // On the vCPU's thread, inside the instruction.
    virtual uint64_t host_number(const Core& core, HostNumber kind, uint64_t value) = 0;
};

// A vCPU has a write tag only for pages that are marked dirty already; to collect is to clear the marks and to ask for the
// tags back. Until every vCPU has answered, writes may go unnoticed: such pages are reported again.
class InterpWriteLog final : public WriteLog {
  public:
    explicit InterpWriteLog(InterpVm& vm) : m_vm(vm) {}
    void begin_write_log(std::span<std::byte> pages) override;
    void end_write_log() override;
    void collect_writes(std::span<uint64_t> written) override;

  private:
    void protect();
    [[nodiscard]] bool is_protected() const;

    InterpVm& m_vm;
    std::mutex m_mutex;  // before the VM's
    std::span<std::byte> m_pages;  // empty: off
    std::vector<std::pair<const InterpVcpu*, uint64_t>> m_tickets;  // of those asked for their write tags
    std::vector<uint64_t> m_doubtful;  // reported last time while a vCPU may still have had a write tag for them
    bool m_any_doubtful = false;
};

class InterpVm final : public Vm, private MemoryMapListener {
  public:
    InterpVm(GuestMemory& memory, const CpuConfig& config, TranslatorFactory make_translator = {});
    ~InterpVm() override;
    InterpVm(const InterpVm&) = delete;
    InterpVm& operator=(const InterpVm&) = delete;

    Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index) override;
    [[nodiscard]] uint32_t cpuid_signature() const override;
    [[nodiscard]] uint64_t tsc_hz() const override { return m_tsc.hz(); }
    [[nodiscard]] uint64_t tsc_now() const override { return m_tsc.now(); }
    void pause_clock() override { m_tsc.pause(); }
    void resume_clock(uint64_t missed_ns) override;
    [[nodiscard]] WriteLog& write_log() override { return m_write_log; }

    [[nodiscard]] const GuestTsc& tsc() const { return m_tsc; }

    // After loading a saved state.
    void set_tsc(uint64_t guest_ticks) { m_tsc.set(guest_ticks); }

    // Before any vCPU runs.
    void set_witness(Witness* witness) { m_witness = witness; }
    [[nodiscard]] bool has_witness() const { return m_witness != nullptr; }
    [[nodiscard]] uint64_t witnessed(const Core& core, HostNumber kind, uint64_t value) const {
        return m_witness == nullptr ? value : m_witness->host_number(core, kind, value);
    }

    [[nodiscard]] GuestMemory& memory() { return m_memory; }
    [[nodiscard]] const CpuConfig& config() const { return m_config; }

    // --- code in RAM and who writes to it ------------------------------------------------------------------------------
    // RAM bytes are about to be decoded by `by`: marks their page, notes their 64-byte lines, and waits until no vCPU
    // holds a write tag for the page. The bytes must be read (again) after this.
    void watch_code(InterpVcpu& by, const std::byte* host, unsigned size, bool first_of_page);
    // How often watched code was written so far: the same number before watch_code() and after it means that the watch
    // has not been ended meanwhile.
    [[nodiscard]] uint64_t code_clears() const { return m_code_clears.load(); }
    // Bytes of a page marked k_page_has_code were written: if decoded code lies on their lines, every vCPU drops the
    // page's blocks, and the page is an ordinary one again. `by`: whose thread it is, null for a device's.
    void code_written(InterpVcpu* by, const std::byte* host, unsigned size);
    void forget(InterpVcpu& vcpu);
    // Calls what(vcpu) for every vCPU there is; none goes away meanwhile.
    template <typename Function>
    void for_each_vcpu(Function what) const {
        const std::lock_guard lock(m_mutex);
        for (InterpVcpu* vcpu : m_vcpus) {
            what(*vcpu);
        }
    }

  private:
    void memory_map_changed() override;
    [[nodiscard]] std::atomic<uint64_t>* lines_of(const std::byte* host) const;
    [[nodiscard]] std::vector<InterpVcpu*> others(const InterpVcpu* but) const;

    GuestMemory& m_memory;
    CpuConfig m_config;
    TranslatorFactory m_make_translator;
    GuestTsc m_tsc;
    Witness* m_witness = nullptr;
    std::byte* m_ram;
    std::unique_ptr<std::atomic<uint64_t>[]> m_lines;  // of each RAM page, one bit for 64 bytes
    mutable std::mutex m_mutex;                         // the list, and every change of m_lines
    std::vector<InterpVcpu*> m_vcpus;
    std::atomic<uint64_t> m_code_clears{0};
    InterpWriteLog m_write_log;
};

// What RDTSC shows before IA32_TSC_ADJUST.
[[nodiscard]] uint64_t guest_tsc(const Core& core);

}  // namespace skep::interp
