// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/apic_bus.hpp"

#include "devices/board/lapic.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

void ApicBus::deliver(MsiMessage message) {
    if (bits(message.address, 20, 44) != 0xfee) {
        return;  // an ordinary memory write, which devices do by DMA
    }
    // SDM 3A 10.11.1 and 10.11.2. Processors honour the destination mode with RH = 0 as well, and Linux'
    // flat APIC driver relies on it.
    const bool redirect = (message.address & bit(3)) != 0;
    const bool logical = (message.address & bit(2)) != 0;
    ApicMessage to;
    to.destination = static_cast<uint32_t>(bits(message.address, 12, 8));
    to.destination_mode = logical ? DestinationMode::logical : DestinationMode::physical;
    to.delivery_mode = static_cast<DeliveryMode>(bits(message.data, 8, 3));
    to.trigger = (message.data & bit(15)) != 0 ? TriggerMode::level : TriggerMode::edge;
    to.vector = static_cast<uint8_t>(message.data);
    if (!logical && to.destination == 0xff) {
        to.destination = ApicMessage::k_everybody;
    }
    if (redirect && logical && to.delivery_mode == DeliveryMode::fixed) {
        to.delivery_mode = DeliveryMode::lowest_priority;  // the hint: one processor of the set
    }
    if (to.trigger == TriggerMode::level && (message.data & bit(14)) == 0) {
        return;  // deassert: nothing to do for a message
    }
    send(to);
}

void ApicBus::send(const ApicMessage& message) {
    if (message.delivery_mode == DeliveryMode::lowest_priority) {
        send_lowest_priority(message);
        return;
    }
    for (LocalApic* apic : m_apics) {
        if (apic->matches(message.destination, message.destination_mode)) {
            apic->deliver(message);
        }
    }
}

void ApicBus::send_lowest_priority(const ApicMessage& message) {
    const size_t count = m_apics.size();
    const size_t first = m_turn.fetch_add(1, std::memory_order_relaxed);
    LocalApic* best = nullptr;
    for (size_t step = 0; step < count; ++step) {
        LocalApic* apic = m_apics[(first + step) % count];
        if (!apic->accepts_fixed() || !apic->matches(message.destination, message.destination_mode)) {
            continue;
        }
        if (best == nullptr || apic->arbitration_priority() < best->arbitration_priority()) {
            best = apic;
        }
    }
    if (best != nullptr) {
        best->deliver(message);
    }
}

void ApicBus::send_to_all(const ApicMessage& message, const LocalApic* excluded) {
    for (LocalApic* apic : m_apics) {
        if (apic != excluded) {
            apic->deliver(message);
        }
    }
}

void ApicBus::broadcast_eoi(uint8_t vector) {
    for (EoiListener* listener : m_listeners) {
        listener->end_of_interrupt(vector);
    }
}

}  // namespace skep
