// SPDX-License-Identifier: GPL-3.0-or-later
// The two directions between a processor and its local APIC: the interfaces that keep vmm/machine and
// the CPU back ends from knowing which chip it is.
#pragma once

#include <cstdint>
#include <optional>

namespace skep {

// The local APIC as its own vCPU sees it. All calls on that vCPU's thread.
class LocalInterruptController {
  public:
    virtual ~LocalInterruptController() = default;
    // An interrupt that would be delivered now if RFLAGS.IF allowed it (own IRR above PPR, or ExtINT from the 8259
    // through LINT0 or with the APIC disabled). Cheap: an atomic load in the common case.
    virtual bool interrupt_pending() = 0;
    // INTA: moves the vector from IRR to ISR, or runs the 8259's INTA cycle. A race that lost gives the spurious vector.
    virtual uint8_t acknowledge_interrupt() = 0;
    virtual uint8_t task_priority() = 0;               // CR8 = TPR[7:4]
    virtual void set_task_priority(uint8_t cr8) = 0;
    // IA32_APIC_BASE 0x1b, IA32_TSC_DEADLINE 0x6e0, x2APIC 0x800..0x8ff. Nothing/false: #GP(0).
    virtual std::optional<uint64_t> read_msr(uint32_t index) = 0;
    virtual bool write_msr(uint32_t index, uint64_t value) = 0;
    // Start of the 4 KiB xAPIC window while the APIC is enabled in xAPIC mode; nothing otherwise.
    virtual std::optional<uint64_t> window() = 0;
    virtual uint32_t window_read(uint32_t offset) = 0;   // offset: 0..0xfff, aligned to 4
    virtual void window_write(uint32_t offset, uint32_t value) = 0;
};

// What a local APIC asks of processors. Any thread; never blocks.
class ProcessorSignals {
  public:
    virtual ~ProcessorSignals() = default;
    virtual void interrupt_changed(unsigned cpu) = 0;  // interrupt_pending() may now be true
    virtual void nmi(unsigned cpu) = 0;
    virtual void init(unsigned cpu) = 0;
    virtual void startup(unsigned cpu, uint8_t vector) = 0;
    // The guest's TSC now and its rate, for the TSC-deadline timer.
    virtual uint64_t tsc_now() = 0;
    virtual uint64_t tsc_hz() = 0;
};

}  // namespace skep
