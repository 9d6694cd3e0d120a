// SPDX-License-Identifier: GPL-3.0-or-later
// I8042: the keyboard controller at ports 0x60 and 0x64 with a keyboard and a mouse (IBM PS/2 Technical Reference,
// keyboard and auxiliary device controller). Left out: passwords, the key lock, gate A20 (A20 is always on).
#pragma once

#include <span>

#include "devices/board/ps2_keyboard.hpp"
#include "devices/board/ps2_mouse.hpp"
#include "display/input/input_hub.hpp"
#include "vmm/device/device.hpp"

namespace skep {

class I8042 final : public Device, public IoHandler, public KeyboardSink, public PointerSink {
  public:
    I8042(IoSpace& ports, MachineRequests& machine, IrqLine keyboard_irq, IrqLine mouse_irq);

    [[nodiscard]] std::string name() const override { return "i8042"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

    // KeyboardSink. Dropped when the guest has not taken the last hundred keys.
    void key(KeyCode code, bool down) override;
    // PointerSink: the mouse. Both are there always: other devices come before them in the hub.
    [[nodiscard]] bool absolute() const override { return false; }
    [[nodiscard]] bool listening() const override { return true; }
    void move_to(uint32_t /*x*/, uint32_t /*y*/, uint8_t buttons) override { move_by(0, 0, buttons); }
    void move_by(int32_t x, int32_t y, uint8_t buttons) override { move_mouse(x, y, 0, buttons); }
    void wheel(int32_t vertical, int32_t /*horizontal*/, uint8_t buttons) override {
        move_mouse(0, 0, vertical, buttons);
    }

    // Scan codes of set 1, as key().
    void type(std::span<const uint8_t> set1);
    // As Ps2Mouse::move(). Any thread.
    void move_mouse(int right, int down, int wheel, uint8_t buttons);
    [[nodiscard]] uint8_t leds() const;  // any thread

  private:
    struct CommandPort final : IoHandler {  // 0x64
        explicit CommandPort(I8042& controller) : owner(controller) {}
        uint64_t io_read(uint64_t, unsigned) override { return owner.m_status; }
        void io_write(uint64_t, unsigned, uint64_t value) override { owner.command(static_cast<uint8_t>(value)); }
        I8042& owner;
    };
    enum class Source : uint8_t { keyboard, mouse };

    uint8_t read_data();
    void write_data(uint8_t value);
    void command(uint8_t value);
    void write_output_port(uint8_t value);
    [[nodiscard]] uint8_t output_port() const;
    void give(Source source, uint8_t byte);  // fills the output buffer
    void answer(uint8_t byte) { give(Source::keyboard, byte); }
    void poll_devices();                          // moves the next byte of a device into the buffer, if it is free
    [[nodiscard]] bool translate(uint8_t& byte);  // false: nothing to hand over yet
    void update_irqs();

    MachineRequests& m_machine;
    mutable IoGate m_gate;
    IrqLine m_keyboard_irq;
    IrqLine m_mouse_irq;
    Ps2Keyboard m_keyboard;
    Ps2Mouse m_mouse;
    uint8_t m_status = 0;
    uint8_t m_output = 0;
    uint8_t m_configuration = 0;
    uint8_t m_awaiting = 0;         // the controller command whose argument comes next through port 0x60
    bool m_release_prefix = false;  // translation has swallowed an 0xf0
    CommandPort m_command_port{*this};
    IoClaim m_claims[2];
};

}  // namespace skep
