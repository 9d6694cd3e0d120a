// SPDX-License-Identifier: GPL-3.0-or-later
// The timer of a local APIC: one-shot, periodic and TSC-deadline (Intel SDM 3A, 10.5.4).
// It counts 1 GHz divided by the divide configuration. Not thread-safe: its APIC's lock guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "vmm/base/clock.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/irq/local_apic.hpp"

namespace skep {

class ApicTimer {
  public:
    enum class Mode : uint8_t { one_shot = 0, periodic = 1, tsc_deadline = 2 };

    // alarm: called on the clock's thread without any lock; it locks the APIC and calls take_expired().
    ApicTimer(Clock& clock, ProcessorSignals& signals, std::function<void()> alarm);

    void reset();
    void set_mode(Mode mode);
    void set_initial_count(uint32_t count);
    void set_divide(uint32_t configuration);  // bits 0, 1 and 3
    void set_deadline(uint64_t tsc);          // 0 disarms; ignored outside TSC-deadline mode
    [[nodiscard]] uint32_t initial_count() const { return m_initial; }
    [[nodiscard]] uint32_t current_count() const;
    [[nodiscard]] uint32_t divide() const { return m_divide; }
    [[nodiscard]] uint64_t deadline() const { return m_tsc_deadline; }

    // True when the timer has run out: an interrupt is due. Re-arms a periodic timer.
    bool take_expired();
    // After a pause or load: the TSC may stand elsewhere now.
    void rearm();
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    [[nodiscard]] unsigned shift() const;
    [[nodiscard]] uint64_t period() const { return uint64_t{m_initial} << shift(); }  // ns
    void start(uint32_t count);
    void stop();
    void arm_for_tsc();

    Clock& m_clock;
    ProcessorSignals& m_signals;
    Mode m_mode = Mode::one_shot;
    uint32_t m_initial = 0;
    uint32_t m_divide = 0;
    bool m_running = false;          // counting (not in TSC-deadline mode)
    Nanoseconds m_end = 0;           // when the count reaches zero
    uint64_t m_tsc_deadline = 0;     // 0: disarmed
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
