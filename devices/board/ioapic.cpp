// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/ioapic.hpp"

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint64_t k_window_size = 0x1000;
constexpr uint32_t k_version = 0x20 | (IoApic::k_pins - 1) << 16;

constexpr uint64_t k_logical = bit(11);
constexpr uint64_t k_remote_irr = bit(14);
constexpr uint64_t k_level = bit(15);
constexpr uint64_t k_masked = bit(16);
// Delivery status (12) and remote IRR (14) are read-only.
constexpr uint32_t k_low_writable = 0x0001'afff;
constexpr uint32_t k_high_writable = 0xff00'0000;

constexpr uint64_t k_reg_select = 0x00;
constexpr uint64_t k_reg_data = 0x10;
constexpr uint64_t k_reg_eoi = 0x40;

}  // namespace

IoApic::IoApic(IoSpace& mmio, ApicBus& bus) : m_bus(bus) {
    m_claim = mmio.claim({.start = k_address, .size = k_window_size, .min_width = 4, .max_width = 4}, *this, m_gate);
    IoApic::reset();
}

void IoApic::reset() {
    const std::lock_guard lock(m_gate);
    m_select = 0;
    m_id = 0;
    m_entries.fill(k_masked);
}

uint64_t IoApic::io_read(uint64_t offset, unsigned /*size*/) {
    switch (offset) {
        case k_reg_select:
            return m_select;
        case k_reg_data:
            return read_data();
        default:
            return 0;
    }
}

void IoApic::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    switch (offset) {
        case k_reg_select:
            m_select = static_cast<uint8_t>(value);
            break;
        case k_reg_data:
            write_data(static_cast<uint32_t>(value));
            break;
        case k_reg_eoi:
            complete(static_cast<uint8_t>(value));
            break;
        default:
            break;
    }
}

uint32_t IoApic::read_data() const {
    switch (m_select) {
        case 0:
        case 2:
            return m_id;  // arbitration id follows the id
        case 1:
            return k_version;
        default:
            break;
    }
    const unsigned index = m_select - 0x10U;
    if (m_select < 0x10 || index >= 2 * k_pins) {
        return 0;
    }
    return static_cast<uint32_t>(m_entries[index / 2] >> (index % 2 * 32));
}

void IoApic::write_data(uint32_t value) {
    if (m_select == 0) {
        m_id = value & 0x0f00'0000;
    } else if (m_select >= 0x10 && m_select < 0x10 + 2 * k_pins) {
        write_entry(m_select - 0x10U, value);
    }
}

void IoApic::write_entry(unsigned index, uint32_t value) {
    uint64_t& entry = m_entries[index / 2];
    if (index % 2 != 0) {
        entry = (entry & 0xffff'ffff) | uint64_t{value & k_high_writable} << 32;
        return;
    }
    entry = (entry & ~uint64_t{k_low_writable}) | (value & k_low_writable);
    if ((entry & k_level) == 0) {
        entry &= ~k_remote_irr;  // how Linux clears it on parts without an EOI register
    } else {
        service(index / 2);
    }
}

void IoApic::set_pin(unsigned pin, bool level) {
    if (pin >= k_pins) {
        return;
    }
    const std::lock_guard lock(m_gate);
    const uint32_t mask = 1U << pin;
    const bool rising = level && (m_levels & mask) == 0;
    m_levels = level ? m_levels | mask : m_levels & ~mask;
    if (rising) {
        service(pin);
    }
}

void IoApic::service(unsigned pin) {
    uint64_t& entry = m_entries[pin];
    const bool level = (entry & k_level) != 0;
    if ((entry & k_masked) != 0) {
        return;  // an edge is lost while masked, a level is looked at again on unmasking
    }
    if (level && ((entry & k_remote_irr) != 0 || (m_levels & (1U << pin)) == 0)) {
        return;
    }
    ApicMessage message;
    message.vector = static_cast<uint8_t>(entry);
    message.delivery_mode = static_cast<DeliveryMode>(bits(entry, 8, 3));
    message.destination_mode = (entry & k_logical) != 0 ? DestinationMode::logical : DestinationMode::physical;
    message.destination = static_cast<uint32_t>(bits(entry, 56, 8));
    message.trigger = level ? TriggerMode::level : TriggerMode::edge;
    if (message.destination == 0xff && message.destination_mode == DestinationMode::physical) {
        message.destination = ApicMessage::k_everybody;
    }
    const bool completes =
        message.delivery_mode == DeliveryMode::fixed || message.delivery_mode == DeliveryMode::lowest_priority;
    if (level && completes) {
        entry |= k_remote_irr;
    }
    m_bus.send(message);
}

void IoApic::end_of_interrupt(uint8_t vector) {
    const std::lock_guard lock(m_gate);
    complete(vector);
}

void IoApic::complete(uint8_t vector) {
    for (unsigned pin = 0; pin < k_pins; ++pin) {
        uint64_t& entry = m_entries[pin];
        if ((entry & k_remote_irr) != 0 && static_cast<uint8_t>(entry) == vector) {
            entry &= ~k_remote_irr;
            service(pin);  // the line may still be asserted
        }
    }
}

void IoApic::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put(m_select);
    writer.put(m_id);
    for (const uint64_t entry : m_entries) {
        writer.put(entry);
    }
    writer.put(m_levels);
}

void IoApic::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    reader.get(m_select);
    m_id = reader.get<uint32_t>() & 0x0f00'0000;
    for (uint64_t& entry : m_entries) {
        entry = reader.get<uint64_t>() & (uint64_t{k_high_writable} << 32 | k_low_writable | k_remote_irr);
    }
    m_levels = reader.get<uint32_t>() & 0x00ff'ffff;
}

}  // namespace skep
