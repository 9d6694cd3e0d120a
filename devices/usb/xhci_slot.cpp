// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/xhci_slot.hpp"

namespace skep::xhci {
namespace {

constexpr uint32_t k_add_slot = 1U << 0;
constexpr uint32_t k_add_control = 1U << 1;
constexpr uint32_t k_not_droppable = k_add_slot | k_add_control;
constexpr uint32_t k_route_mask = 0xf'ffff;
constexpr unsigned k_entries_shift = 27;
constexpr uint32_t k_entries_mask = 0x1fU << k_entries_shift;
constexpr unsigned k_slot_state_shift = 27;  // of word 3

}  // namespace

Endpoint* Slot::endpoint_at(uint8_t address) const {
    const unsigned number = address & 0xf;
    const unsigned index = number == 0 ? 1 : number * 2 + ((address & k_usb_in) != 0 ? 1 : 0);
    return m_endpoints[index].get();
}

void Slot::enable() {
    disable();
    m_enabled = true;
}

void Slot::disable() {
    for (auto& endpoint : m_endpoints) {
        endpoint.reset();
    }
    m_enabled = false;
    m_state = k_slot_enabled;
    m_output = 0;
    m_words = {};
    m_port = 0;
}

std::optional<Slot::InputContext> Slot::read_input(GuestAddress input) const {
    const auto control = m_controller.memory.read_value<Context>(input);
    const auto slot = m_controller.memory.read_value<Context>(input + k_context_size);
    if (!control || !slot) {
        m_controller.guest_errors.report("slot {}: the input context at {:#x} is not memory", m_number, input);
        return std::nullopt;
    }
    return InputContext{control->words[0], control->words[1], *slot};
}

std::optional<Context> Slot::read_endpoint_input(GuestAddress input, unsigned index) const {
    return m_controller.memory.read_value<Context>(input + (index + 1) * k_context_size);
}

Endpoint& Slot::place_endpoint(unsigned index) {
    m_endpoints[index] = std::make_unique<Endpoint>(m_number, index, m_controller);
    m_endpoints[index]->place_context(m_output + index * k_context_size);
    return *m_endpoints[index];
}

void Slot::remove_endpoint(unsigned index) {
    if (m_endpoints[index]) {
        m_endpoints[index]->disable();
        m_endpoints[index].reset();
    }
}

// The slot context; the number of the last endpoint is that of those there are.
void Slot::write_context() {
    Context output = m_words;
    uint32_t entries = 0;
    for (unsigned index = 1; index < k_endpoints; ++index) {
        entries = m_endpoints[index] ? index : entries;
    }
    output.words[0] = (output.words[0] & ~k_entries_mask) | entries << k_entries_shift;
    output.words[3] = static_cast<uint32_t>(m_state) << k_slot_state_shift | (m_state >= k_slot_addressed ? m_number : 0);
    if (!m_controller.memory.write_value(m_output, output)) {
        m_controller.guest_errors.report("slot {}: the device context at {:#x} is not memory", m_number, m_output);
    }
}

// 4.6.5. The controller itself makes the SET_ADDRESS request; the address is the slot's number.
Completion Slot::address_device(GuestAddress input, GuestAddress output, const DeviceAt& device_at, SetAddress set_address) {
    const bool sets = set_address == SetAddress::yes;
    if (m_state != k_slot_enabled && !(m_state == k_slot_default && sets)) {
        return k_context_state_error;
    }
    const auto given = read_input(input);
    const auto control = read_endpoint_input(input, 1);
    if (!given || !control || (given->add & k_not_droppable) != k_not_droppable) {
        return k_parameter_error;
    }
    const unsigned port = given->slot.words[1] >> 16 & 0xff;
    if (port == 0 || port > k_ports) {
        return k_parameter_error;
    }
    if ((given->slot.words[0] & k_route_mask) != 0 || device_at(port) == nullptr) {
        return k_transaction_error;  // behind a hub, of which there are none, or pulled out
    }
    m_output = output;
    m_words = given->slot;
    m_port = port;
    if (!place_endpoint(1).configure(*control)) {
        m_endpoints[1].reset();
        return k_parameter_error;
    }
    m_state = sets ? k_slot_addressed : k_slot_default;
    write_context();
    return k_success;
}

// 4.6.6
Completion Slot::configure_endpoints(GuestAddress input, Deconfigure deconfigure) {
    if (m_state < k_slot_addressed) {
        return k_context_state_error;
    }
    InputContext given{.drop = ~0U, .add = 0, .slot = m_words};
    if (deconfigure == Deconfigure::no) {
        const auto read = read_input(input);
        if (!read || (read->drop & k_not_droppable) != 0 || (read->add & k_not_droppable) != k_add_slot) {
            return k_parameter_error;
        }
        given = *read;
    }
    Completion result = k_success;
    bool any = false;
    for (unsigned index = 2; index < k_endpoints; ++index) {
        const uint32_t mask = 1U << index;
        if ((given.drop & mask) != 0) {
            remove_endpoint(index);
        }
        if ((given.add & mask) != 0) {
            const auto words = read_endpoint_input(input, index);
            if (!words || !place_endpoint(index).configure(*words)) {
                remove_endpoint(index);
                result = k_parameter_error;
            }
        }
        any |= m_endpoints[index] != nullptr;
    }
    m_state = any ? k_slot_configured : k_slot_addressed;
    write_context();
    return result;
}

// 4.6.7: the maximum exit latency and interrupter of the slot, the packet size of the default control endpoint.
Completion Slot::evaluate_context(GuestAddress input) {
    if (m_state == k_slot_enabled || !m_endpoints[1]) {
        return k_context_state_error;
    }
    const auto given = read_input(input);
    if (!given) {
        return k_parameter_error;
    }
    if ((given->add & k_add_slot) != 0) {
        m_words.words[1] = (m_words.words[1] & ~0xffffU) | (given->slot.words[1] & 0xffff);
        m_words.words[2] = (m_words.words[2] & ~0xffc0'0000U) | (given->slot.words[2] & 0xffc0'0000U);
        write_context();
    }
    if ((given->add & k_add_control) != 0) {
        const auto control = read_endpoint_input(input, 1);
        if (!control) {
            return k_parameter_error;
        }
        m_endpoints[1]->set_max_packet_size(control->words[1] >> 16);
    }
    return k_success;
}

// 4.6.11: after the port was reset; only the default control endpoint stays.
Completion Slot::reset_device() {
    if (m_state < k_slot_addressed) {
        return k_context_state_error;
    }
    for (unsigned index = 2; index < k_endpoints; ++index) {
        remove_endpoint(index);
    }
    m_state = k_slot_default;
    write_context();
    return k_success;
}

void Slot::save(StateWriter& writer) const {
    writer.put(static_cast<uint8_t>(m_enabled ? 1 : 0));
    writer.put(m_state);
    writer.put(m_output);
    for (const uint32_t word : m_words.words) {
        writer.put(word);
    }
    writer.put(static_cast<uint8_t>(m_port));
    uint32_t there = 0;
    for (unsigned index = 1; index < k_endpoints; ++index) {
        there |= m_endpoints[index] ? 1U << index : 0;
    }
    writer.put(there);
    for (const auto& endpoint : m_endpoints) {
        if (endpoint) {
            endpoint->save(writer);
        }
    }
}

void Slot::load(StateReader& reader) {
    disable();
    m_enabled = reader.get<uint8_t>() != 0;
    reader.get(m_state);
    reader.get(m_output);
    for (uint32_t& word : m_words.words) {
        reader.get(word);
    }
    m_port = reader.get<uint8_t>();
    const auto there = reader.get<uint32_t>();
    const bool control = (there & k_add_control) != 0;
    if (m_state > k_slot_configured || m_port > k_ports || (there & k_add_slot) != 0 ||
        (m_state != k_slot_enabled && (!m_enabled || !control || m_port == 0))) {
        reader.fail("a device slot is in no state that there is");
        disable();
        return;
    }
    for (unsigned index = 1; index < k_endpoints && reader.ok(); ++index) {
        if ((there & 1U << index) != 0) {
            place_endpoint(index).load(reader);
        }
    }
}

}  // namespace skep::xhci
