// SPDX-License-Identifier: GPL-3.0-or-later
// AcpiPm: the power management I/O block of ICH9 (ICH9 data sheet 13.8.3; ACPI 6.4, 4.8.3) and the APM ports 0xb2
// and 0xb3 (13.7.5). Left out: SMM (APMC_EN reads as set, so that firmware takes SMM for done), S1 to S4, the TCO
// watchdog (its registers are storage), the RTC's wake event.
#pragma once

#include <array>
#include <memory>

#include "vmm/device/device.hpp"

namespace skep {

class AcpiPm final : public Device, public IoHandler {
  public:
    static constexpr uint64_t k_timer_hertz = 3'579'545;
    static constexpr uint64_t k_block_size = 128;

    // sci: level, GSI 9.
    AcpiPm(IoSpace& ports, Clock& clock, MachineRequests& machine, IrqLine sci);

    [[nodiscard]] std::string name() const override { return "acpi-pm"; }
    void reset() override;  // where the block answers is the LPC bridge's to say, also on reset
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

    // PMBASE (a multiple of 128) and ACPI_EN of the LPC bridge. Any thread.
    void set_base(uint16_t base, bool enabled);
    void press_power_button();        // any thread
    void raise_gpe(unsigned number);  // 0..63: sets the status bit; any thread

  private:
    struct ApmPorts final : IoHandler {  // 0xb2, 0xb3
        explicit ApmPorts(AcpiPm& pm) : owner(pm) {}
        uint64_t io_read(uint64_t offset, unsigned) override { return owner.m_apm[offset & 1]; }
        void io_write(uint64_t offset, unsigned, uint64_t value) override {
            owner.write_apm(static_cast<unsigned>(offset & 1), static_cast<uint8_t>(value));
        }
        AcpiPm& owner;
    };
    [[nodiscard]] uint64_t timer() const;  // all bits; the register shows 24
    void note_timer();                     // TMR_STS, when bit 23 has changed
    void write_byte(unsigned offset, uint8_t value);
    void write_apm(unsigned index, uint8_t value);
    void sleep();
    void update_sci();
    void schedule();

    IoSpace& m_ports;
    Clock& m_clock;
    MachineRequests& m_machine;
    GuestErrorLog m_errors{"acpi-pm"};
    mutable IoGate m_gate;
    IrqLine m_sci;
    std::array<uint8_t, k_block_size> m_registers{};
    std::array<uint8_t, 2> m_apm{};
    uint64_t m_seen_toggles = 0;
    uint16_t m_base = 0;
    bool m_enabled = false;
    ApmPorts m_apm_handler{*this};
    IoClaim m_apm_claim;
    IoClaim m_claim;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
