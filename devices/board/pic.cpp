// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/pic.hpp"

#include <utility>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr unsigned k_cascade = 2;
constexpr uint8_t k_master_elcr_mask = 0xf8;  // 0, 1 and 2 are always edges
constexpr uint8_t k_slave_elcr_mask = 0xde;   // 8 and 13 too

}  // namespace

// --- one chip ------------------------------------------------------------------------------------

void Pic8259::reset() {
    const uint8_t inputs = m_inputs;
    *this = Pic8259(m_role);
    m_inputs = inputs;
}

int Pic8259::highest_ranked(uint8_t mask) const {
    for (unsigned step = 1; step <= 8; ++step) {
        const unsigned input = (m_lowest + step) & 7;
        if ((mask & (1U << input)) != 0) {
            return static_cast<int>(input);
        }
    }
    return -1;
}

int Pic8259::pending() const {
    const int request = highest_ranked(static_cast<uint8_t>(m_irr & ~m_imr));
    if (request < 0) {
        return -1;
    }
    uint8_t blocking = m_isr;
    if (m_special_mask) {
        blocking = static_cast<uint8_t>(blocking & ~m_imr);
    }
    if (m_special_fully_nested && m_role == Role::master) {
        // A second request of the slave may interrupt the first.
        blocking = static_cast<uint8_t>(blocking & ~(1U << k_cascade));
    }
    const int in_service = highest_ranked(blocking);
    if (in_service >= 0) {
        return rank(static_cast<unsigned>(request)) < rank(static_cast<unsigned>(in_service)) ? request : -1;
    }
    return request;
}

void Pic8259::set_input(unsigned input, bool level) {
    const auto mask = static_cast<uint8_t>(1U << (input & 7));
    const bool was = (m_inputs & mask) != 0;
    const bool level_triggered = m_level_mode || (m_elcr & mask) != 0;
    m_inputs = static_cast<uint8_t>(level ? m_inputs | mask : m_inputs & ~mask);
    if (level_triggered) {
        m_irr = static_cast<uint8_t>(level ? m_irr | mask : m_irr & ~mask);
    } else if (level && !was) {
        m_irr |= mask;  // stays latched until INTA, as in the chip sets that people's pulses rely on
    } else if (!level && m_role == Role::master && (input & 7) == k_cascade) {
        m_irr = static_cast<uint8_t>(m_irr & ~mask);  // the slave withdrew its request
    }
}

void Pic8259::set_level_triggered(uint8_t mask) {
    const auto permitted = m_role == Role::master ? k_master_elcr_mask : k_slave_elcr_mask;
    m_elcr = static_cast<uint8_t>(mask & permitted);
    m_irr = static_cast<uint8_t>((m_irr & ~m_elcr) | (m_inputs & m_elcr));
}

void Pic8259::take(unsigned input) {
    const auto mask = static_cast<uint8_t>(1U << input);
    if (m_auto_eoi) {
        if (m_rotate_on_auto_eoi) {
            m_lowest = static_cast<uint8_t>(input);
        }
    } else {
        m_isr |= mask;
    }
    if (!m_level_mode && (m_elcr & mask) == 0) {
        m_irr = static_cast<uint8_t>(m_irr & ~mask);
    }
}

unsigned Pic8259::acknowledge() {
    const int request = pending();
    if (request < 0) {
        return 7;
    }
    take(static_cast<unsigned>(request));
    return static_cast<unsigned>(request);
}

uint8_t Pic8259::read(unsigned offset) {
    if (m_poll) {
        m_poll = false;
        const int request = pending();
        if (request < 0) {
            return 0;
        }
        take(static_cast<unsigned>(request));
        return static_cast<uint8_t>(0x80 | request);
    }
    if (offset == 1) {
        return m_imr;
    }
    return m_read_isr ? m_isr : m_irr;
}

void Pic8259::write(unsigned offset, uint8_t value) {
    if (offset == 0) {
        if ((value & 0x10) != 0) {
            write_icw1(value);
        } else if ((value & 0x08) != 0) {
            write_ocw3(value);
        } else {
            write_ocw2(value);
        }
        return;
    }
    switch (m_next_icw) {
        case 2:
            m_vector_base = value & 0xf8;
            m_next_icw = m_single ? (m_wants_icw4 ? 4 : 0) : 3;
            break;
        case 3:
            m_next_icw = m_wants_icw4 ? 4 : 0;
            break;  // the cascade is wired to input 2
        case 4:
            m_auto_eoi = (value & 0x02) != 0;
            m_special_fully_nested = (value & 0x10) != 0;
            m_next_icw = 0;
            break;
        default:
            m_imr = value;  // OCW1
    }
}

void Pic8259::write_icw1(uint8_t value) {
    m_wants_icw4 = (value & 0x01) != 0;
    m_single = (value & 0x02) != 0;
    m_level_mode = (value & 0x08) != 0;
    m_next_icw = 2;
    m_irr = m_level_mode ? m_inputs : static_cast<uint8_t>(m_inputs & m_elcr);  // edges must come anew
    m_isr = 0;
    m_imr = 0;
    m_lowest = 7;
    m_auto_eoi = false;
    m_rotate_on_auto_eoi = false;
    m_special_fully_nested = false;
    m_special_mask = false;
    m_read_isr = false;
    m_poll = false;
}

void Pic8259::write_ocw2(uint8_t value) {
    const unsigned input = value & 7;
    const int served = highest_ranked(m_isr);
    switch (value >> 5) {
        case 0:
            m_rotate_on_auto_eoi = false;
            break;
        case 4:
            m_rotate_on_auto_eoi = true;
            break;
        case 1:  // non-specific EOI
        case 5:  // and rotate
            if (served >= 0) {
                m_isr = static_cast<uint8_t>(m_isr & ~(1U << served));
                if ((value & 0x80) != 0) {
                    m_lowest = static_cast<uint8_t>(served);
                }
            }
            break;
        case 3:  // specific EOI
        case 7:  // and rotate
            m_isr = static_cast<uint8_t>(m_isr & ~(1U << input));
            if ((value & 0x80) != 0) {
                m_lowest = static_cast<uint8_t>(input);
            }
            break;
        case 6:
            m_lowest = static_cast<uint8_t>(input);
            break;
        default:
            break;  // no operation
    }
}

void Pic8259::write_ocw3(uint8_t value) {
    m_poll = (value & 0x04) != 0;
    if ((value & 0x02) != 0) {
        m_read_isr = (value & 0x01) != 0;
    }
    if ((value & 0x40) != 0) {
        m_special_mask = (value & 0x20) != 0;
    }
}

void Pic8259::save(StateWriter& writer) const {
    for (const uint8_t value : {m_elcr, m_inputs, m_irr, m_isr, m_imr, m_vector_base, m_lowest, m_next_icw}) {
        writer.put(value);
    }
    for (const bool flag : {m_wants_icw4, m_single, m_level_mode, m_auto_eoi, m_rotate_on_auto_eoi,
                            m_special_fully_nested, m_special_mask, m_read_isr, m_poll}) {
        writer.put(static_cast<uint8_t>(flag));
    }
}

void Pic8259::load(StateReader& reader) {
    for (uint8_t* value : {&m_elcr, &m_inputs, &m_irr, &m_isr, &m_imr, &m_vector_base, &m_lowest, &m_next_icw}) {
        reader.get(*value);
    }
    for (bool* flag : {&m_wants_icw4, &m_single, &m_level_mode, &m_auto_eoi, &m_rotate_on_auto_eoi,
                       &m_special_fully_nested, &m_special_mask, &m_read_isr, &m_poll}) {
        *flag = reader.get<uint8_t>() != 0;
    }
    m_lowest &= 7;
    m_vector_base &= 0xf8;
    if (m_next_icw > 4) {
        reader.fail("the initialisation sequence is at an impossible word");
    }
}

// --- the pair ------------------------------------------------------------------------------------

Pic::Pic(IoSpace& ports, std::function<void(bool)> output) : m_output(std::move(output)) {
    m_claims[0] = ports.claim({.start = 0x20, .size = 2, .max_width = 1}, *this, m_gate);
    m_claims[1] = ports.claim({.start = 0xa0, .size = 2, .max_width = 1}, m_slave_ports, m_gate);
    m_claims[2] = ports.claim({.start = 0x4d0, .size = 2, .max_width = 1}, m_elcr_ports, m_gate);
}

void Pic::reset() {
    const std::lock_guard lock(m_gate);
    m_master.reset();
    m_slave.reset();
    m_intr = false;
    m_output(false);
}

void Pic::update() {
    m_master.set_input(k_cascade, m_slave.output());
    const bool intr = m_master.output();
    if (intr != m_intr) {
        m_intr = intr;
        m_output(intr);
    }
}

void Pic::set_input(unsigned irq, bool level) {
    if (irq > 15 || irq == k_cascade) {
        return;
    }
    const std::lock_guard lock(m_gate);
    (irq < 8 ? m_master : m_slave).set_input(irq & 7, level);
    update();
}

uint8_t Pic::acknowledge() {
    const std::lock_guard lock(m_gate);
    unsigned vector = m_master.vector_base();
    const unsigned input = m_master.acknowledge();
    if (input == k_cascade && m_slave.output()) {
        vector = m_slave.vector_base() + m_slave.acknowledge();
        // The cascade input is the slave's INT, which INTA dropped; a second request raises it anew.
        m_master.set_input(k_cascade, false);
    } else if (input == k_cascade) {
        vector = m_slave.vector_base() + 7U;
    } else {
        vector += input;
    }
    update();
    return static_cast<uint8_t>(vector);
}

uint64_t Pic::io_read(uint64_t offset, unsigned /*size*/) {
    switch (offset) {
        case 0:
        case 1: {
            const uint8_t value = m_master.read(static_cast<unsigned>(offset));
            update();
            return value;
        }
        case 2:
        case 3: {
            const uint8_t value = m_slave.read(static_cast<unsigned>(offset - 2));
            m_master.set_input(k_cascade, false);
            update();
            return value;
        }
        case 4:
            return m_master.level_triggered();
        case 5:
            return m_slave.level_triggered();
        default:
            return 0xff;
    }
}

void Pic::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    switch (offset) {
        case 0:
        case 1:
            m_master.write(static_cast<unsigned>(offset), byte);
            break;
        case 2:
        case 3:
            m_slave.write(static_cast<unsigned>(offset - 2), byte);
            // What was blocked by the slave's own EOI may be requested anew: an edge for the master.
            m_master.set_input(k_cascade, false);
            break;
        case 4:
            m_master.set_level_triggered(byte);
            break;
        case 5:
            m_slave.set_level_triggered(byte);
            break;
        default:
            break;
    }
    update();
}

void Pic::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    m_master.save(writer);
    m_slave.save(writer);
    writer.put(static_cast<uint8_t>(m_intr));
}

void Pic::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    m_master.load(reader);
    m_slave.load(reader);
    m_intr = reader.get<uint8_t>() != 0;
}

}  // namespace skep
