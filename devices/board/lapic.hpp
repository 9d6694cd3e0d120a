// SPDX-License-Identifier: GPL-3.0-or-later
// LocalApic: one processor's local xAPIC and x2APIC (Intel SDM 3A, chapter 10; version 0x14, six LVT entries).
// Left out: CMCI, EOI broadcast suppression, SMI (there is no SMM), writing the xAPIC id, thermal and
// performance interrupts (their LVT entries are storage).
// Threads: devices and other processors deliver(); the vCPU's own thread does the rest. No lock is held
// while the bus, the 8259 or the processor is called.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "devices/board/apic_bus.hpp"
#include "devices/board/lapic_timer.hpp"
#include "vmm/device/device.hpp"
#include "vmm/irq/local_apic.hpp"

namespace skep {

// The 8259 pair as a processor sees it during INTA.
class ExtIntSource {
  public:
    virtual ~ExtIntSource() = default;
    virtual uint8_t acknowledge() = 0;  // the vector; the spurious one when the request went away
};

// 256 vectors, as in IRR, ISR and TMR.
class VectorSet {
  public:
    void set(uint8_t vector) { m_words[vector / 32] |= 1U << (vector % 32); }
    void clear(uint8_t vector) { m_words[vector / 32] &= ~(1U << (vector % 32)); }
    void clear_all() { m_words = {}; }
    [[nodiscard]] bool has(uint8_t vector) const { return ((m_words[vector / 32] >> (vector % 32)) & 1) != 0; }
    [[nodiscard]] int highest() const;  // -1 when empty
    [[nodiscard]] uint32_t word(unsigned index) const { return m_words[index % 8]; }
    void set_word(unsigned index, uint32_t value) { m_words[index % 8] = value; }

  private:
    std::array<uint32_t, 8> m_words{};
};

class LocalApic final : public Device, public LocalInterruptController {
  public:
    // cpu: index of the processor, also its APIC id; 0 is the bootstrap processor.
    LocalApic(unsigned cpu, Clock& clock, ApicBus& bus, ProcessorSignals& signals, ExtIntSource& pic);

    // --- Device
    [[nodiscard]] std::string name() const override { return "lapic" + std::to_string(m_cpu); }
    void reset() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // --- the bus side: any thread
    [[nodiscard]] bool matches(uint32_t destination, DestinationMode mode) const;
    [[nodiscard]] bool accepts_fixed() const { return m_accepting.load(std::memory_order_acquire); }
    [[nodiscard]] uint8_t arbitration_priority() const { return m_arbitration.load(std::memory_order_relaxed); }
    void deliver(const ApicMessage& message);
    // The wire from the 8259's INTR output to LINT0 (and to the INTR pin of a disabled APIC).
    void set_lint0(bool level);

    // --- LocalInterruptController: the vCPU's thread
    bool interrupt_pending() override { return m_pending.load(std::memory_order_acquire); }
    uint8_t acknowledge_interrupt() override;
    uint8_t task_priority() override;
    void set_task_priority(uint8_t cr8) override;
    std::optional<uint64_t> read_msr(uint32_t index) override;
    bool write_msr(uint32_t index, uint64_t value) override;
    std::optional<uint64_t> window() override;
    uint32_t window_read(uint32_t offset) override;
    void window_write(uint32_t offset, uint32_t value) override;

  private:
    enum class Mode : uint8_t { disabled, xapic, x2apic };
    enum LvtEntry : unsigned { k_lvt_timer, k_lvt_thermal, k_lvt_performance, k_lvt_lint0, k_lvt_lint1, k_lvt_error };
    static constexpr unsigned k_lvt_count = 6;

    // What is to be done once the lock is released.
    struct Effects {
        bool interrupt = false;
        bool nmi = false;
        std::optional<uint8_t> eoi;
        std::optional<uint64_t> ipi;  // the ICR value
    };

    void perform(const Effects& effects);
    void send_ipi(uint64_t icr);
    void on_timer();

    // All of these with m_mutex held.
    void initialise();  // the state after INIT
    void refresh(Effects& effects);
    void accept(uint8_t vector, TriggerMode trigger, Effects& effects);
    void fire_lvt(unsigned entry, Effects& effects);
    void report_error(uint32_t esr_bit, Effects& effects);
    [[nodiscard]] bool ext_int_wired() const;  // LINT0 leads the 8259's INTR to the processor
    [[nodiscard]] bool ext_int_waiting() const;
    [[nodiscard]] uint8_t processor_priority() const;
    [[nodiscard]] uint32_t read_register(uint32_t number, Effects& effects);
    void write_register(uint32_t number, uint32_t value, Effects& effects);
    void write_spurious(uint32_t value);
    void write_lvt(unsigned entry, uint32_t value, Effects& effects);
    void write_eoi(Effects& effects);
    void set_mode(Mode mode);
    [[nodiscard]] bool software_enabled() const { return (m_spurious & 0x100) != 0; }
    // x2APIC MSR access rules (10.12.1.3).
    [[nodiscard]] bool write_x2apic(uint32_t number, uint64_t value, Effects& effects);
    [[nodiscard]] bool write_base(uint64_t value, Effects& effects);

    const unsigned m_cpu;
    ApicBus& m_bus;
    ProcessorSignals& m_signals;
    ExtIntSource& m_pic;

    mutable std::mutex m_mutex;
    uint64_t m_base = 0;  // IA32_APIC_BASE
    uint32_t m_tpr = 0;
    uint32_t m_spurious = 0;
    uint32_t m_esr = 0;          // as last latched by a write
    uint32_t m_esr_pending = 0;  // collected since
    uint64_t m_icr = 0;
    std::array<uint32_t, k_lvt_count> m_lvt{};
    VectorSet m_irr;
    VectorSet m_isr;
    VectorSet m_tmr;
    bool m_lint0_level = false;
    bool m_ext_int_message = false;  // an ExtINT message of the IO-APIC waits

    // Written under m_mutex, read by other threads without it.
    std::atomic<bool> m_pending{false};
    std::atomic<bool> m_accepting{false};
    std::atomic<uint8_t> m_arbitration{0};
    std::atomic<Mode> m_mode{Mode::xapic};
    std::atomic<uint32_t> m_ldr{0};
    std::atomic<uint32_t> m_dfr{0xffff'ffff};

    ApicTimer m_timer;  // last: its alarm uses the rest
};

}  // namespace skep
