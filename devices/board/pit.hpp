// SPDX-License-Identifier: GPL-3.0-or-later
// Pit: the 8254 interval timer at 0x40 and the NMI status and control port 0x61 (Intel 8254 data sheet; ICH9
// data sheet 5.7 and 13.7). Channel 0 drives IRQ 0, channel 2 the speaker and OUT2.
// Left out: the one-clock load delay, refresh cycles (channel 1 only counts), parity errors, sound.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "vmm/device/device.hpp"

namespace skep {

// One counter. Times are ticks of the 1.193182 MHz input. Not thread-safe.
class PitChannel {
  public:
    void reset();
    void write_control(uint8_t value, uint64_t now);
    void write(uint8_t value, uint64_t now);
    uint8_t read(uint64_t now);
    void latch_count(uint64_t now);
    void latch_status(uint64_t now);
    void set_gate(bool gate, uint64_t now);
    [[nodiscard]] bool gate() const { return m_gate; }
    [[nodiscard]] bool output(uint64_t now) const;
    // The next tick after `now` at which OUT rises at the end of a count; nothing when none will.
    [[nodiscard]] std::optional<uint64_t> next_event(uint64_t now) const;
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    enum Access : uint8_t { k_latch_command, k_low, k_high, k_low_high };

    [[nodiscard]] uint16_t counter(uint64_t now) const;
    [[nodiscard]] uint64_t elapsed(uint64_t now) const;
    [[nodiscard]] uint32_t modulus() const { return m_bcd ? 10000 : 65536; }
    [[nodiscard]] bool is_periodic() const { return m_mode == 2 || m_mode == 3; }
    [[nodiscard]] bool gate_triggers() const { return m_mode == 1 || m_mode == 5; }
    void load_count(uint16_t written, uint64_t now);
    void begin(uint64_t now);
    void take_next_count(uint64_t now);

    uint8_t m_mode = 0;  // 0..5
    uint8_t m_access = k_low_high;
    bool m_bcd = false;
    bool m_gate = true;
    uint32_t m_count = 0;       // 1..65536; 0: none written since the control word
    uint32_t m_next_count = 0;  // of a running periodic counter: taken at the end of its period
    bool m_running = false;     // m_start is valid
    uint64_t m_start = 0;       // tick at which m_count was loaded
    uint64_t m_stopped_at = 0;  // elapsed ticks when the gate stopped it
    bool m_write_high_next = false;
    bool m_read_high_next = false;
    uint8_t m_written_low = 0;
    uint8_t m_latched_bytes = 0;  // of m_latch still to be read
    uint16_t m_latch = 0;
    bool m_status_latched = false;
    uint8_t m_status = 0;
};

class Pit final : public Device, public IoHandler {
  public:
    static constexpr uint64_t k_hertz = 1'193'182;

    // irq0: pulsed at each end of channel 0's count.
    Pit(IoSpace& ports, Clock& clock, IrqLine irq0);

    [[nodiscard]] std::string name() const override { return "pit"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    struct ControlPort final : IoHandler {  // 0x61
        explicit ControlPort(Pit& pit) : owner(pit) {}
        uint64_t io_read(uint64_t, unsigned) override { return owner.read_control_port(); }
        void io_write(uint64_t, unsigned, uint64_t value) override {
            owner.write_control_port(static_cast<uint8_t>(value));
        }
        Pit& owner;
    };
    [[nodiscard]] uint64_t now() const;
    [[nodiscard]] uint8_t read_control_port() const;
    void write_control_port(uint8_t value);
    void write_command(uint8_t value);
    void schedule();
    void on_timer();

    Clock& m_clock;
    mutable IoGate m_gate;
    IrqLine m_irq;
    std::array<PitChannel, 3> m_channels;
    uint8_t m_control_port = 0;  // bits 0..3 of port 0x61
    bool m_event_wanted = false;
    uint64_t m_event = 0;  // tick of channel 0's next event
    ControlPort m_control_handler{*this};
    std::array<IoClaim, 2> m_claims;
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
