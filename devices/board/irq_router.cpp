// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/irq_router.hpp"

#include "devices/board/ioapic.hpp"
#include "devices/board/pic.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint32_t k_routable = 0xdef8;  // ISA IRQs 3..7, 9..12, 14 and 15
constexpr unsigned k_timer_pin = 2;      // ISA IRQ 0 at the IO-APIC, as the MADT's override says

}  // namespace

void IrqRouter::reset() {
    // The sources' levels are the sources' own business; routing is the firmware's.
    const std::lock_guard lock(m_mutex);
    m_pirq_routes.fill(0);
    m_legacy_replacement = false;
    update();
}

uint32_t IrqRouter::gsi_levels() const {
    uint32_t levels = static_cast<uint32_t>(m_inputs) & 0x00ff'ffff;
    levels |= static_cast<uint32_t>(m_inputs >> k_input_hpet) & 0x00ff'ffff;
    const bool timer = input(m_legacy_replacement ? k_input_hpet_timer0 : k_input_pit);
    const bool clock = input(m_legacy_replacement ? k_input_hpet_timer1 : k_input_rtc);
    levels |= (timer ? 1U : 0U) | (clock ? 1U << 8 : 0U);
    levels |= input(k_input_serial) || input(k_input_serial + 2) ? 1U << 4 : 0U;
    levels |= input(k_input_serial + 1) || input(k_input_serial + 3) ? 1U << 3 : 0U;
    return levels;
}

void IrqRouter::update() {
    const uint32_t gsi = gsi_levels();
    uint32_t isa = gsi & 0xfffb;
    for (unsigned index = 0; index < k_pirq_count; ++index) {
        if (m_pirq_routes[index] != 0 && (gsi & (1U << (16 + index))) != 0) {
            isa |= 1U << m_pirq_routes[index];
        }
    }
    const uint32_t isa_changed = isa ^ m_isa_told;
    const uint32_t gsi_changed = gsi ^ m_gsi_told;
    m_isa_told = isa;
    m_gsi_told = gsi;
    for (unsigned line = 0; line < 16; ++line) {
        if ((isa_changed & (1U << line)) != 0) {
            m_pic.set_input(line, (isa & (1U << line)) != 0);
        }
    }
    for (unsigned line = 0; line < k_gsi_count; ++line) {
        // GSI 2 is the cascade and has no source of its own: its pin carries IRQ 0. Pin 0 is the 8259's INTR.
        if ((gsi_changed & (1U << line)) != 0 && line != k_timer_pin) {
            m_ioapic.set_pin(line == 0 ? k_timer_pin : line, (gsi & (1U << line)) != 0);
        }
    }
}

void IrqRouter::set_line(unsigned number, bool level) {
    if (number >= k_input_count) {
        return;
    }
    const std::lock_guard lock(m_mutex);
    m_inputs = level ? m_inputs | bit(number) : m_inputs & ~bit(number);
    update();
}

void IrqRouter::set_pirq_route(unsigned index, std::optional<unsigned> isa_irq) {
    if (index >= k_pirq_count) {
        return;
    }
    const std::lock_guard lock(m_mutex);
    const unsigned irq = isa_irq.value_or(0);
    m_pirq_routes[index] = static_cast<uint8_t>(irq < 16 && (k_routable >> irq & 1) != 0 ? irq : 0);
    update();
}

void IrqRouter::set_legacy_replacement(bool on) {
    const std::lock_guard lock(m_mutex);
    m_legacy_replacement = on;
    update();
}

void IrqRouter::save(StateWriter& writer) const {
    const std::lock_guard lock(m_mutex);
    writer.section(name(), k_state_version);
    writer.put(m_inputs);
    for (const uint8_t route : m_pirq_routes) {
        writer.put(route);
    }
    writer.put(static_cast<uint8_t>(m_legacy_replacement));
    writer.put(m_gsi_told);
    writer.put(m_isa_told);
}

void IrqRouter::load(StateReader& reader) {
    const std::lock_guard lock(m_mutex);
    reader.section(name(), k_state_version);
    m_inputs = reader.get<uint64_t>() & (bit(k_input_count) - 1);
    for (uint8_t& route : m_pirq_routes) {
        reader.get(route);
        if (route >= 16 || (k_routable >> route & 1) == 0) {
            route = 0;
        }
    }
    m_legacy_replacement = reader.get<uint8_t>() != 0;
    m_gsi_told = reader.get<uint32_t>() & 0x00ff'ffff;
    m_isa_told = reader.get<uint32_t>() & 0xffff;
}

}  // namespace skep
