// SPDX-License-Identifier: GPL-3.0-or-later
// IrqRouter: the wiring between interrupt sources and the 8259 pair and IO-APIC of an ICH9 board
// (ICH9 data sheet 5.8, 5.9 and 13.1.17: PIRQ routing; 20.1.2: the HPET's legacy replacement).
// Each source has an input of its own; sources of one line are ORed here.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "vmm/device/device.hpp"

namespace skep {

class Pic;
class IoApic;

class IrqRouter final : public Device, public IrqSink {
  public:
    static constexpr unsigned k_gsi_count = 24;
    static constexpr unsigned k_pirq_count = 8;
    // Inputs beside GSI 0..23.
    enum Input : unsigned {
        k_input_pit = 24,  // replaced by the HPET's timers 0 and 1 under legacy replacement
        k_input_rtc = 25,
        k_input_hpet_timer0 = 26,
        k_input_hpet_timer1 = 27,
        k_input_serial = 28,  // + n: COM1..COM4, IRQ 4, 3, 4, 3
        k_input_hpet = 32,    // + GSI: HPET comparators routed to the IO-APIC
        k_input_count = 32 + k_gsi_count,
    };

    IrqRouter(Pic& pic, IoApic& ioapic) : m_pic(pic), m_ioapic(ioapic) {}

    [[nodiscard]] std::string name() const override { return "irq-router"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    void set_line(unsigned input, bool level) override;  // any thread
    void set_pirq_route(unsigned index, std::optional<unsigned> isa_irq);
    void set_legacy_replacement(bool on);

  private:
    [[nodiscard]] bool input(unsigned number) const { return ((m_inputs >> number) & 1) != 0; }
    [[nodiscard]] uint32_t gsi_levels() const;
    void update();

    Pic& m_pic;
    IoApic& m_ioapic;
    mutable std::mutex m_mutex;  // held while the controllers are told, so that changes reach them in order
    uint64_t m_inputs = 0;
    std::array<uint8_t, k_pirq_count> m_pirq_routes{};  // 0: not routed
    bool m_legacy_replacement = false;
    uint32_t m_gsi_told = 0;  // what the controllers were last told
    uint32_t m_isa_told = 0;
};

}  // namespace skep
