// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/port92.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint8_t k_init_now = 0x01;
constexpr uint8_t k_a20 = 0x02;
constexpr uint8_t k_reset_cpu = 0x04;  // of 0xcf9: resets on its rising edge
constexpr uint8_t k_reset_control_writable = 0x0e;

}  // namespace

Port92::Port92(IoSpace& ports, MachineRequests& machine) : m_machine(machine) {
    m_claim = ports.claim({.start = 0x92, .size = 1, .max_width = 1}, *this, m_gate);
    // Lies inside the PCI configuration ports 0xcf8..0xcff, whose dword accesses it must not disturb.
    m_control_claim = ports.claim({.start = 0xcf9, .size = 1, .max_width = 1, .priority = 1}, m_control, m_gate);
    Port92::reset();
}

void Port92::reset() {
    const std::lock_guard lock(m_gate);
    m_port92 = k_a20;
    m_reset_control = 0;
}

uint64_t Port92::io_read(uint64_t /*offset*/, unsigned /*size*/) {
    return m_port92;
}

void Port92::io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t value) {
    const bool rising = (value & k_init_now) != 0 && (m_port92 & k_init_now) == 0;
    m_port92 = static_cast<uint8_t>(value);
    if (rising) {
        m_machine.request(MachineRequest::reset, 0, "port 0x92");
    }
}

void Port92::ResetControl::io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t value) {
    const bool rising = (value & k_reset_cpu) != 0 && (owner.m_reset_control & k_reset_cpu) == 0;
    owner.m_reset_control = value & k_reset_control_writable;
    if (rising) {
        owner.m_machine.request(MachineRequest::reset, 0, "reset control register");
    }
}

void Port92::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put(m_port92);
    writer.put(m_reset_control);
}

void Port92::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    reader.get(m_port92);
    m_reset_control = reader.get<uint8_t>() & k_reset_control_writable;
}

}  // namespace skep
