// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/e1000_phy.hpp"

namespace skep {
namespace {

enum Number : unsigned {
    k_control = 0,
    k_status = 1,
    k_id1 = 2,
    k_id2 = 3,
    k_advertise = 4,
    k_partner = 5,
    k_expansion = 6,
    k_gigabit_control = 9,
    k_gigabit_status = 10,
    k_extended_status = 15,
    k_specific_control = 16,
    k_specific_status = 17,
    k_interrupt_enable = 18,
    k_interrupt_status = 19,
    k_extended_control = 20,
};
constexpr uint16_t k_control_reset = 1 << 15;
constexpr uint16_t k_control_negotiate = 1 << 12;
constexpr uint16_t k_control_power_down = 1 << 11;
constexpr uint16_t k_control_restart = 1 << 9;
constexpr uint16_t k_control_kept = static_cast<uint16_t>(~(k_control_reset | k_control_restart));
constexpr uint16_t k_status_can = 0x7949;  // all speeds up to 100, extended status, negotiation, extended registers
constexpr uint16_t k_status_negotiated = 1 << 5;
constexpr uint16_t k_status_link = 1 << 2;
constexpr uint16_t k_partner_can = 0x45e1;          // with symmetric pause
constexpr uint16_t k_partner_gigabit = 0x3c00;      // full and half duplex, both receivers good
constexpr uint16_t k_specific_resolved = 0xa800;    // 1000 Mbit/s, full duplex, resolved
constexpr uint16_t k_specific_link = 1 << 10;
constexpr uint16_t k_link_changed = 1 << 10;        // of the interrupt registers

bool is_writable(unsigned number) {
    switch (number) {
        case k_advertise:
        case 7:  // next page
        case k_gigabit_control:
        case k_specific_control:
        case k_interrupt_enable:
        case k_extended_control:
        case 24:  // LEDs
        case 29:  // pages of registers for tests
        case 30: return true;
        default: return false;
    }
}

}  // namespace

void E1000Phy::reset() {
    m_registers = {};
    m_registers[k_control] = 0x1140;  // negotiation, full duplex, 1000 Mbit/s
    m_registers[k_id1] = 0x0141;      // 88E1011
    m_registers[k_id2] = 0x0c20;
    m_registers[k_advertise] = 0x0de1;
    m_registers[k_gigabit_control] = 0x0e00;
    m_registers[k_extended_status] = 0x3000;
    m_registers[k_specific_control] = 0x0360;
    m_registers[k_extended_control] = 0x0d60;
    m_lost_link = false;
}

bool E1000Phy::link() const { return m_cable && (m_registers[k_control] & k_control_power_down) == 0; }

void E1000Phy::set_cable(bool plugged_in) {
    m_lost_link = m_lost_link || (m_cable && !plugged_in);
    if (m_cable != plugged_in) {
        m_registers[k_interrupt_status] |= k_link_changed;
    }
    m_cable = plugged_in;
}

uint16_t E1000Phy::read(unsigned number) {
    const bool up = link();
    const auto when_up = [up](uint16_t value) { return up ? value : uint16_t{0}; };
    switch (number) {
        case k_status: {
            const bool latched_down = m_lost_link;
            m_lost_link = !up;
            return static_cast<uint16_t>(k_status_can | when_up(k_status_negotiated) |
                                         (latched_down ? uint16_t{0} : when_up(k_status_link)));
        }
        case k_partner: return when_up(k_partner_can);
        case k_expansion: return when_up(1);  // the partner negotiates
        case k_gigabit_status: return when_up(k_partner_gigabit);
        case k_specific_status: return static_cast<uint16_t>(k_specific_resolved | when_up(k_specific_link));
        case k_interrupt_status: {
            const uint16_t value = m_registers[k_interrupt_status];
            m_registers[k_interrupt_status] = 0;
            return value;
        }
        default: return number < k_registers ? m_registers[number] : uint16_t{0xffff};
    }
}

bool E1000Phy::write(unsigned number, uint16_t value) {
    if (number == k_control) {
        const bool before = link();
        if ((value & k_control_reset) != 0) {
            reset();
        } else {
            m_registers[k_control] = value & k_control_kept;
        }
        m_lost_link = m_lost_link || (before && !link());
        const bool negotiated = (value & (k_control_restart | k_control_reset)) != 0 && (value & k_control_negotiate) != 0;
        return before != link() || (negotiated && link());
    }
    if (is_writable(number)) {
        m_registers[number] = value;
    }
    return false;
}

void E1000Phy::save(StateWriter& writer) const {
    for (const uint16_t value : m_registers) {
        writer.put(value);
    }
    writer.put(static_cast<uint8_t>(m_lost_link ? 1 : 0));
}

void E1000Phy::load(StateReader& reader) {
    for (uint16_t& value : m_registers) {
        reader.get(value);
    }
    m_lost_link = reader.get<uint8_t>() != 0;
}

}  // namespace skep
