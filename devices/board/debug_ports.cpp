// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/debug_ports.hpp"

#include <span>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr size_t k_longest_line = 200;
constexpr uint8_t k_present = 0xe9;
constexpr uint64_t k_second_port = 0xe9;
constexpr size_t k_log_budget = size_t{1} << 20;

}  // namespace

DebugConsole::DebugConsole(IoSpace& ports, CharBackend* backend, DebugOutput output)
    : m_backend(backend), m_output(output) {
    m_claim = ports.claim({.start = 0x402, .size = 1, .max_width = 1}, *this, m_gate);
    if (m_output == DebugOutput::logged) {
        m_second_claim = ports.claim({.start = k_second_port, .size = 1, .max_width = 1}, *this, m_gate);
    }
}

void DebugConsole::reset() {
    const std::lock_guard lock(m_gate);
    flush_line();
}

void DebugConsole::flush_line() {
    if (m_line.empty()) {
        return;
    }
    if (m_output == DebugOutput::quiet) {
        log_debug("guest firmware: {}", m_line);
    } else if (m_logged < k_log_budget) {
        m_logged += m_line.size();
        log_info("guest firmware: {}{}", m_line, m_logged < k_log_budget ? "" : " (the rest is left out)");
    }
    m_line.clear();
}

uint64_t DebugConsole::io_read(uint64_t /*offset*/, unsigned /*size*/) {
    return k_present;
}

void DebugConsole::io_write(uint64_t /*offset*/, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<std::byte>(value);
    if (m_backend != nullptr) {
        m_backend->write(std::span(&byte, 1));
    }
    const auto character = static_cast<char>(value);
    if (character == '\n' || m_line.size() >= k_longest_line) {
        flush_line();
    }
    if (character != '\n' && character != '\r') {
        m_line += character;
    }
}

void DebugConsole::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put_string(m_line);
}

void DebugConsole::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    m_line = reader.get_string();
    if (m_line.size() > k_longest_line) {
        reader.fail("the line is too long");
        m_line.clear();
    }
}

DebugExit::DebugExit(IoSpace& ports, MachineRequests& machine) : m_machine(machine) {
    m_claim = ports.claim({.start = 0xf4, .size = 4, .max_width = 4}, *this, m_gate);
}

uint64_t DebugExit::io_read(uint64_t /*offset*/, unsigned size) {
    return all_ones(size);
}

void DebugExit::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    if (offset == 0) {
        m_machine.request(MachineRequest::debug_exit, static_cast<int>(static_cast<uint32_t>(value) << 1 | 1));
    }
}

void DebugExit::save(StateWriter& writer) const {
    writer.section(name(), k_state_version);
}

void DebugExit::load(StateReader& reader) {
    reader.section(name(), k_state_version);
}

}  // namespace skep
