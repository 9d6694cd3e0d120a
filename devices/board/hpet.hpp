// SPDX-License-Identifier: GPL-3.0-or-later
// Hpet: the high precision event timer at 0xfed00000: a 64-bit counter of 100 MHz and three comparators
// (IA-PC HPET specification 1.0a). Left out: FSB (MSI) delivery, which is not offered.
#pragma once

#include <array>
#include <memory>

#include "devices/board/irq_router.hpp"
#include "vmm/device/device.hpp"

namespace skep {

class Hpet final : public Device, public IoHandler {
  public:
    static constexpr uint64_t k_address = 0xfed0'0000;
    static constexpr Nanoseconds k_period = 10;  // ns; the register says femtoseconds

    Hpet(IoSpace& mmio, Clock& clock, IrqRouter& router);

    [[nodiscard]] std::string name() const override { return "hpet"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    static constexpr unsigned k_timers = 3;
    struct Comparator {
        uint64_t configuration = 0;  // the writable bits
        uint64_t value = ~uint64_t{0};
        uint64_t period = 0;
        bool armed = false;
        uint64_t due = 0;  // in ticks of the guest's clock, not of the counter
    };
    enum class Past { fires_now, waits_for_wrap };  // what a comparator value behind the counter means

    [[nodiscard]] uint64_t ticks() const { return m_clock.now() / k_period; }
    [[nodiscard]] uint64_t counter() const;
    [[nodiscard]] bool enabled() const { return (m_configuration & 1) != 0; }
    [[nodiscard]] bool legacy() const { return (m_configuration & 2) != 0; }
    [[nodiscard]] uint64_t read_register(uint64_t offset) const;
    void write_register(uint64_t offset, uint64_t value, uint64_t mask);
    void write_configuration(uint64_t value);
    void write_timer(unsigned index, uint64_t offset, uint64_t value, uint64_t mask);
    void write_comparator(Comparator& timer, uint64_t value, uint64_t mask);
    void arm(Comparator& timer, Past past);
    void schedule();
    void on_timer();
    void fire(unsigned index);
    [[nodiscard]] unsigned line_of(unsigned index) const;
    void drive_lines();

    Clock& m_clock;
    IrqRouter& m_router;
    mutable IoGate m_gate;
    uint64_t m_configuration = 0;
    uint64_t m_status = 0;
    uint64_t m_counter = 0;  // stopped: its value; running: to be added to ticks()
    std::array<Comparator, k_timers> m_timers;
    uint64_t m_lines_high = 0;  // router inputs held by level-triggered timers
    IoClaim m_claim;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
