// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/pvpanic.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint16_t k_port = 0x505;
constexpr uint64_t k_panicked = 1 << 0;
constexpr uint64_t k_crash_loaded = 1 << 1;  // it crashed, but a kernel of its own for that takes over

}  // namespace

Pvpanic::Pvpanic(IoSpace& ports, MachineRequests& machine) : m_machine(machine) {
    m_claim = ports.claim({.start = k_port, .size = 1, .max_width = 1}, *this, m_gate);
}

void Pvpanic::reset() {
    const std::lock_guard lock(m_gate);
    m_told = false;
}

uint64_t Pvpanic::io_read(uint64_t /*offset*/, unsigned /*size*/) {
    return k_panicked | k_crash_loaded;
}

void Pvpanic::io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t value) {
    if ((value & k_panicked) != 0 && !m_told) {
        m_told = true;
        m_machine.request(MachineRequest::panic);
    }
}

void Pvpanic::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put<uint8_t>(m_told ? 1 : 0);
}

void Pvpanic::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    m_told = reader.get<uint8_t>() != 0;
}

}  // namespace skep
