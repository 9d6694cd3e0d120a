// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/i8042.hpp"

#include "display/input/scan_codes.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;

// Status (port 0x64)
constexpr uint8_t k_output_full = 0x01;
constexpr uint8_t k_system = 0x04;
constexpr uint8_t k_command = 0x08;
constexpr uint8_t k_not_locked = 0x10;
constexpr uint8_t k_from_mouse = 0x20;

// Configuration (byte 0 of the controller's RAM)
constexpr uint8_t k_keyboard_interrupt = 0x01;
constexpr uint8_t k_mouse_interrupt = 0x02;
constexpr uint8_t k_system_flag = 0x04;
constexpr uint8_t k_keyboard_disabled = 0x10;
constexpr uint8_t k_mouse_disabled = 0x20;
constexpr uint8_t k_translate = 0x40;

constexpr uint8_t k_port_not_reset = 0x01;  // output port, active low
constexpr uint8_t k_port_a20 = 0x02;

}  // namespace

I8042::I8042(IoSpace& ports, MachineRequests& machine, IrqLine keyboard_irq, IrqLine mouse_irq)
    : m_machine(machine), m_keyboard_irq(keyboard_irq), m_mouse_irq(mouse_irq) {
    m_claims[0] = ports.claim({.start = 0x60, .size = 1, .max_width = 1}, *this, m_gate);
    m_claims[1] = ports.claim({.start = 0x64, .size = 1, .max_width = 1}, m_command_port, m_gate);
    I8042::reset();
}

void I8042::reset() {
    const std::lock_guard lock(m_gate);
    m_keyboard.reset();
    m_mouse.reset();
    m_status = k_not_locked | k_system;
    m_output = 0;
    // As a PC's firmware leaves it, for guests that start without firmware.
    m_configuration = k_keyboard_interrupt | k_mouse_interrupt | k_system_flag | k_translate;
    m_awaiting = 0;
    m_release_prefix = false;
    update_irqs();
}

// --- the output buffer ---------------------------------------------------------------------------

void I8042::give(Source source, uint8_t byte) {
    m_output = byte;
    m_status |= k_output_full;
    if (source == Source::mouse) {
        m_status |= k_from_mouse;
    } else {
        m_status &= static_cast<uint8_t>(~k_from_mouse);
    }
    m_keyboard_irq.set(false);  // each byte is an edge
    m_mouse_irq.set(false);
    update_irqs();
}

void I8042::update_irqs() {
    const bool full = (m_status & k_output_full) != 0;
    const bool mouse = (m_status & k_from_mouse) != 0;
    m_keyboard_irq.set(full && !mouse && (m_configuration & k_keyboard_interrupt) != 0);
    m_mouse_irq.set(full && mouse && (m_configuration & k_mouse_interrupt) != 0);
}

bool I8042::translate(uint8_t& byte) {
    if ((m_configuration & k_translate) == 0) {
        return true;
    }
    if (byte == 0xf0) {
        m_release_prefix = true;
        return false;
    }
    byte = static_cast<uint8_t>(set1_of_set2(byte) | (m_release_prefix ? 0x80 : 0));
    m_release_prefix = false;
    return true;
}

void I8042::poll_devices() {
    while ((m_status & k_output_full) == 0) {
        const bool keyboard = (m_configuration & k_keyboard_disabled) == 0 && m_keyboard.has_data();
        const bool mouse = (m_configuration & k_mouse_disabled) == 0 && m_mouse.has_data();
        if (!keyboard && !mouse) {
            return;  // the queues are bounded, so this comes
        }
        if (!keyboard) {
            give(Source::mouse, m_mouse.take());
            return;
        }
        uint8_t byte = m_keyboard.take();
        if (translate(byte)) {
            give(Source::keyboard, byte);
        }
    }
}

uint8_t I8042::read_data() {
    m_status &= static_cast<uint8_t>(~(k_output_full | k_from_mouse));
    const uint8_t value = m_output;
    update_irqs();
    poll_devices();
    return value;
}

// --- commands ------------------------------------------------------------------------------------

uint8_t I8042::output_port() const {
    const bool full = (m_status & k_output_full) != 0;
    const bool mouse = (m_status & k_from_mouse) != 0;
    return static_cast<uint8_t>(0xc0 | k_port_not_reset | k_port_a20 | (full && !mouse ? 0x10 : 0) |
                                (full && mouse ? 0x20 : 0));
}

void I8042::write_output_port(uint8_t value) {
    if ((value & k_port_not_reset) == 0) {
        m_machine.request(MachineRequest::reset, 0, "keyboard controller");
    }
}

void I8042::command(uint8_t value) {
    m_status |= k_command;
    m_awaiting = 0;
    if (value >= 0xf0) {  // pulses the output port's bits that are 0 here
        write_output_port(value & 0x0f);
        return;
    }
    switch (value) {
        case 0x20:
            answer(m_configuration);
            break;
        case 0x60:  // write the configuration
        case 0xd1:  // write the output port
        case 0xd2:  // write the buffer as if from the keyboard
        case 0xd3:  // ... from the mouse
        case 0xd4:  // write to the mouse
            m_awaiting = value;
            break;
        case 0xa7:
            m_configuration |= k_mouse_disabled;
            break;
        case 0xa8:
            m_configuration &= static_cast<uint8_t>(~k_mouse_disabled);
            break;
        case 0xa9:
            answer(0x00);
            break;  // mouse interface test
        case 0xaa:
            m_status |= k_system;
            answer(0x55);
            break;
        case 0xab:
            answer(0x00);
            break;  // keyboard interface test
        case 0xad:
            m_configuration |= k_keyboard_disabled;
            break;
        case 0xae:
            m_configuration &= static_cast<uint8_t>(~k_keyboard_disabled);
            break;
        case 0xc0:
            answer(0x80);
            break;  // input port: not locked
        case 0xd0:
            answer(output_port());
            break;
        case 0xe0:
            answer(0x00);
            break;  // test inputs
        default:
            break;  // A20 (0xdd, 0xdf) is always on; others do nothing
    }
    poll_devices();
}

void I8042::write_data(uint8_t value) {
    m_status &= static_cast<uint8_t>(~k_command);
    const uint8_t to = m_awaiting;
    m_awaiting = 0;
    switch (to) {
        case 0x60:
            m_configuration = value & 0x7f;
            m_status = static_cast<uint8_t>((m_status & ~k_system) | (value & k_system_flag));
            update_irqs();
            break;
        case 0xd1:
            write_output_port(value);
            break;
        case 0xd2:
            give(Source::keyboard, value);
            break;
        case 0xd3:
            give(Source::mouse, value);
            break;
        case 0xd4:
            m_configuration &= static_cast<uint8_t>(~k_mouse_disabled);
            m_mouse.receive(value);
            break;
        default:
            m_configuration &= static_cast<uint8_t>(~k_keyboard_disabled);
            m_release_prefix = false;
            m_keyboard.receive(value);
    }
    poll_devices();
}

uint64_t I8042::io_read(uint64_t /*offset*/, unsigned /*size*/) {
    return read_data();
}

void I8042::io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t value) {
    write_data(static_cast<uint8_t>(value));
}

void I8042::key(KeyCode code, bool down) { type(set1_of_key(code, down).span()); }

void I8042::type(std::span<const uint8_t> set1) {
    const std::lock_guard lock(m_gate);
    for (const uint8_t byte : set1) {
        m_keyboard.type(byte);
    }
    poll_devices();
}

void I8042::move_mouse(int right, int down, int wheel, uint8_t buttons) {
    const std::lock_guard lock(m_gate);
    m_mouse.move(right, down, wheel, buttons);
    poll_devices();
}

uint8_t I8042::leds() const {
    const std::lock_guard lock(m_gate);
    return m_keyboard.leds();
}

// --- state ---------------------------------------------------------------------------------------

void I8042::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    m_keyboard.save(writer);
    m_mouse.save(writer);
    for (const uint8_t value : {m_status, m_output, m_configuration, m_awaiting}) {
        writer.put(value);
    }
    for (const bool flag : {m_release_prefix, m_keyboard_irq.level(), m_mouse_irq.level()}) {
        writer.put(static_cast<uint8_t>(flag));
    }
}

void I8042::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    m_keyboard.load(reader);
    m_mouse.load(reader);
    for (uint8_t* value : {&m_status, &m_output, &m_configuration, &m_awaiting}) {
        reader.get(*value);
    }
    m_configuration &= 0x7f;
    m_release_prefix = reader.get<uint8_t>() != 0;
    m_keyboard_irq.restore(reader.get<uint8_t>() != 0);
    m_mouse_irq.restore(reader.get<uint8_t>() != 0);
}

}  // namespace skep
