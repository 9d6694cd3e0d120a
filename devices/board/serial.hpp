// SPDX-License-Identifier: GPL-3.0-or-later
// Serial: a 16550A UART (National PC16550D data sheet), the COM ports of the board.
// What is sent leaves at once; what is received comes as fast as the guest takes it, never faster, so that
// pasted text is not lost. Left out: OUT2 gating the interrupt (it always reaches the line), DMA modes,
// parity and framing errors, character widths below 8.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "vmm/device/char_backend.hpp"
#include "vmm/device/device.hpp"

namespace skep {

struct SerialConfig {
    unsigned index = 0;  // 0: COM1; names the device "serial0"
    uint16_t base = 0x3f8;
    CharBackend* backend = nullptr;  // null: nothing plugged in (no carrier)
};

class Serial final : public Device, public IoHandler {
  public:
    Serial(IoSpace& ports, Clock& clock, IrqLine irq, const SerialConfig& config);
    ~Serial() override;

    [[nodiscard]] std::string name() const override { return "serial" + std::to_string(m_config.index); }
    void reset() override;
    void start() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    static constexpr unsigned k_fifo_size = 16;

    [[nodiscard]] bool divisor_access() const { return (m_line_control & 0x80) != 0; }
    [[nodiscard]] bool loopback() const { return (m_modem_control & 0x10) != 0; }
    [[nodiscard]] bool fifo_enabled() const { return (m_fifo_control & 0x01) != 0; }
    [[nodiscard]] unsigned capacity() const { return fifo_enabled() ? k_fifo_size : 1; }
    [[nodiscard]] unsigned trigger() const;
    [[nodiscard]] Nanoseconds character_time() const;
    [[nodiscard]] uint8_t interrupt_identification() const;
    [[nodiscard]] uint8_t modem_inputs() const;

    uint8_t read_receiver();
    uint8_t read_line_status();
    void write_transmitter(uint8_t value);
    void write_interrupt_enable(uint8_t value);
    void write_fifo_control(uint8_t value);
    void write_line_control(uint8_t value);
    void write_modem_control(uint8_t value);
    void update_modem_status();
    void push(uint8_t byte);
    void clear_receiver();
    void fill();       // takes what the backend has and the FIFO can hold
    void fill_soon();  // the same, a character time from now
    void await_timeout();
    void update_irq();
    void on_input_ready();

    const SerialConfig m_config;
    Clock& m_clock;
    mutable IoGate m_gate;
    IrqLine m_irq;
    bool m_paused = true;  // until start()
    bool m_input_hint = false;  // input arrived while this thread was inside the device

    uint8_t m_interrupt_enable = 0;
    uint8_t m_fifo_control = 0;
    uint8_t m_line_control = 0;
    uint8_t m_modem_control = 0;
    uint8_t m_line_errors = 0;  // OE, PE, FE, BI of LSR
    uint8_t m_modem_status = 0;
    uint8_t m_scratch = 0;
    uint16_t m_divisor = 12;
    bool m_thre_pending = false;  // a THRE interrupt not yet seen in IIR
    bool m_timed_out = false;     // characters wait below the trigger level
    std::array<uint8_t, k_fifo_size> m_fifo{};
    unsigned m_fifo_first = 0;
    unsigned m_fifo_count = 0;
    bool m_timeout_armed = false;
    IoClaim m_claim;
    std::unique_ptr<Timer> m_timeout_timer;  // last: their callbacks use the rest
    std::unique_ptr<Timer> m_fill_timer;
};

}  // namespace skep
