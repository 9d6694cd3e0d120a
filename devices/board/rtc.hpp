// SPDX-License-Identifier: GPL-3.0-or-later
// Rtc: the MC146818A clock with 128 bytes of battery-backed memory at ports 0x70 and 0x71, the century in
// register 0x32 (Motorola MC146818A data sheet; ICH9 data sheet 5.11 and 13.6). The memory holds what firmware
// expects of a PC: RAM size, boot order, processor count.
// Left out: square wave, daylight saving, the upper bank at 0x72, dividers other than 32.768 kHz stop nothing.
// The time is the host's UTC plus what the guest set.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "devices/board/calendar.hpp"
#include "vmm/device/device.hpp"

namespace skep {

struct RtcConfig {
    uint64_t low_ram_bytes = 0;
    uint64_t high_ram_bytes = 0;  // from 4 GiB up
    unsigned cpu_count = 1;
};

class Rtc final : public Device, public IoHandler {
  public:
    // irq8: level, high while an enabled flag is set.
    Rtc(IoSpace& ports, Clock& clock, IrqLine irq8, const RtcConfig& config);

    [[nodiscard]] std::string name() const override { return "rtc"; }
    void reset() override;  // the battery keeps time, alarm and memory
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

    // The battery-backed memory itself, for firmware settings. index: 0x0e..0x7f. Before the machine starts.
    void set_memory(uint8_t index, uint8_t value);
    [[nodiscard]] bool nmi_masked() const;

  private:
    struct Moment {
        int64_t second = 0;     // guest's RTC time, seconds since 1970
        Nanoseconds phase = 0;  // since that second began
    };
    [[nodiscard]] Moment moment();
    [[nodiscard]] bool is_set_mode() const;
    [[nodiscard]] uint8_t encode(unsigned value) const;
    [[nodiscard]] unsigned decode(uint8_t value) const;
    [[nodiscard]] uint8_t encode_hour(unsigned hour) const;
    [[nodiscard]] unsigned decode_hour(uint8_t value) const;
    void registers_from_time(int64_t second);
    [[nodiscard]] int64_t time_from_registers() const;
    void set_time(int64_t second);
    void plan_alarm(int64_t after);
    [[nodiscard]] bool alarm_matches(uint8_t alarm, uint8_t value) const;
    [[nodiscard]] std::optional<uint64_t> period() const;  // ticks of 32768 Hz
    void catch_up();                                       // sets the flags for what has happened since the last call
    void update_irq();
    void schedule();
    uint8_t read_register(uint8_t index);
    void write_register(uint8_t index, uint8_t value);
    void write_register_b(uint8_t value);
    void fill_memory(const RtcConfig& config);

    Clock& m_clock;
    mutable IoGate m_gate;
    IrqLine m_irq;
    std::array<uint8_t, 128> m_registers{};
    uint8_t m_index = 0;            // with the NMI mask in bit 7
    int64_t m_offset = 0;           // guest time less host time, seconds
    Nanoseconds m_anchor_time = 0;  // guest clock at ...
    int64_t m_anchor_wall = 0;      // ... this host second
    int64_t m_seen_second = 0;
    uint64_t m_seen_period = 0;
    std::optional<int64_t> m_alarm;  // the second at which it goes off
    IoClaim m_claim;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
