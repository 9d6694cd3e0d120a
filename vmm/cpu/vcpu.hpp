// SPDX-License-Identifier: GPL-3.0-or-later
// The back-end interface: KVM, the interpreter and the translator each implement Hypervisor, Vm, Vcpu.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/cpu/cpu_state.hpp"
#include "vmm/memory/guest_memory.hpp"
#include "vmm/memory/write_log.hpp"

namespace skep {

// What a vCPU calls out to while it runs: the machine. Every call on the vCPU's own thread; a call may
// block on a device's lock but never on host I/O.
class CpuIo {
  public:
    virtual ~CpuIo() = default;
    virtual uint32_t port_read(uint16_t port, unsigned size) = 0;  // size 1, 2, 4
    virtual void port_write(uint16_t port, unsigned size, uint32_t value) = 0;
    virtual uint64_t mmio_read(GuestAddress address, unsigned size) = 0;  // size 1, 2, 4, 8
    virtual void mmio_write(GuestAddress address, unsigned size, uint64_t value) = 0;

    // --- this vCPU's local APIC ---------------------------------------------------------------
    // Is an interrupt waiting that the APIC would deliver now (IRR above PPR, or ExtINT)? Cheap.
    virtual bool interrupt_pending() = 0;
    // The INTA cycle: takes the vector out of the APIC (IRR -> ISR) or the 8259. Only after interrupt_pending().
    virtual uint8_t acknowledge_interrupt() = 0;
    // CR8 (bits 7:4 of TPR).
    virtual uint8_t task_priority() = 0;
    virtual void set_task_priority(uint8_t cr8) = 0;
    // IA32_APIC_BASE (0x1b), IA32_TSC_DEADLINE (0x6e0) and the x2APIC block (0x800..0x8ff): nothing or
    // false means #GP(0).
    virtual std::optional<uint64_t> read_apic_msr(uint32_t index) = 0;
    virtual bool write_apic_msr(uint32_t index, uint64_t value) = 0;
    // Does [page, page+4096) hold the xAPIC's MMIO window of this vCPU? (The window is per vCPU, so its accesses go
    // through mmio_read/mmio_write of this CpuIo even when RAM would lie there.)
    virtual bool is_apic_page(GuestAddress page) = 0;
};

enum class RunExit {
    kicked,    // kick(KickReason::leave) was called
    halted,    // HLT (or MWAIT) with nothing to wake it: the caller waits, then calls run() again
    shutdown,  // triple fault
    failed,    // the back end cannot go on: last_error() says why
};

enum class KickReason {
    interrupt,  // look at CpuIo::interrupt_pending() again (an IRQ arrived, or TPR changed)
    leave,      // return from run() at the next instruction boundary
};

class Vcpu {
  public:
    virtual ~Vcpu() = default;
    // On the vCPU's own thread. Returns only at an instruction boundary. Delivers interrupts by itself
    // (RFLAGS.IF, shadows) from CpuIo. Never called while state().activity is wait_for_sipi.
    virtual RunExit run(CpuIo& io) = 0;
    // Any thread, async. A kick that comes before run() makes that run() look or leave at once.
    virtual void kick(KickReason reason) = 0;
    // Own thread, between runs: a non-maskable interrupt, delivered when not blocked.
    virtual void inject_nmi() = 0;
    // Own thread or while no run() is under way.
    virtual void save(CpuState& state) = 0;
    virtual void load(const CpuState& state) = 0;
    [[nodiscard]] virtual std::string last_error() const = 0;
    // Guest instructions retired so far, 0 when the back end does not count. Any thread, approximate.
    [[nodiscard]] virtual uint64_t instructions() const = 0;
};

// What the guest may know of its processor.
struct CpuConfig {
    unsigned cpu_count = 1;      // 1..255
    uint64_t tsc_hz = 0;         // 0: the host's
};

class Vm {
  public:
    virtual ~Vm() = default;
    // index: 0..cpu_count-1, also the initial local APIC id.
    virtual Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index) = 0;
    // CPUID leaf 1 EAX as the guest sees it (EDX after reset).
    [[nodiscard]] virtual uint32_t cpuid_signature() const = 0;
    // Guest TSC ticks a second.
    [[nodiscard]] virtual uint64_t tsc_hz() const = 0;
    // Guest TSC as a vCPU would read it now (for the TSC-deadline timer). Any thread.
    [[nodiscard]] virtual uint64_t tsc_now() const = 0;
    // Stop and go on with the guest's TSC, and what is derived from it. Once continued it has also counted
    // `missed_ns` of the time it stood still. No vCPU runs meanwhile.
    virtual void pause_clock() = 0;
    virtual void resume_clock(uint64_t missed_ns) = 0;
    // Which pages the guest and devices write. Outlives no Vm.
    [[nodiscard]] virtual WriteLog& write_log() = 0;
};

class Hypervisor {
  public:
    virtual ~Hypervisor() = default;
    [[nodiscard]] virtual std::string name() const = 0;  // "kvm", "interp", "jit"
    // memory outlives the Vm. The back end listens to the memory map by itself.
    virtual Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) = 0;
};

}  // namespace skep
