// SPDX-License-Identifier: GPL-3.0-or-later
// The command ring (xHCI 1.1, 4.6, 4.9.3, 6.4.3).
#include <array>

#include "devices/usb/xhci_controller.hpp"

namespace skep {

using namespace xhci;

void XhciController::run_commands(unsigned& budget) {
    while (m_commands_run && !events_blocked()) {
        if (budget == 0) {
            return;  // still due
        }
        --budget;
        FetchedTrb command;
        const Fetch fetched = fetch_trb(context().memory, m_commands, command);
        if (fetched == Fetch::error) {
            guest_errors().report("the command ring at {:#x} is not one", m_commands.address);
            m_usbsts |= k_sts_hse;
        }
        if (fetched != Fetch::trb) {
            m_commands_due = false;
            return;
        }
        complete_command(command.address, execute(command.trb));
    }
    m_commands_due = m_commands_due && m_commands_run;
}

// Commands are executed at once, so there is never one to abort.
void XhciController::stop_commands(Completion code) {
    m_commands_run = false;
    m_commands_due = false;
    complete_command(m_commands.address, {code, 0});
}

void XhciController::complete_command(GuestAddress command, CommandResult result) {
    post(0, {.parameter = command,
             .status = uint32_t{result.code} << 24,
             .control = trb_type_bits(k_trb_command_completion) | result.slot << 24},
         Urgency::interrupt);
}

XhciController::CommandResult XhciController::execute(const Trb& command) {
    switch (command.type()) {
        case k_trb_enable_slot: return enable_slot();
        case k_trb_no_op_command:
        case k_trb_set_latency_tolerance: return {k_success, 0};
        case k_trb_get_port_bandwidth: return {port_bandwidth(command), command.slot()};
        case k_trb_disable_slot:
        case k_trb_address_device:
        case k_trb_configure_endpoint:
        case k_trb_evaluate_context:
        case k_trb_reset_device:
        case k_trb_reset_endpoint:
        case k_trb_stop_endpoint:
        case k_trb_set_tr_dequeue: break;
        default:
            guest_errors().report("a command of type {}", command.type());
            return {k_trb_error, command.slot()};
    }
    const unsigned number = command.slot();
    if (number == 0 || number > k_slots) {
        return {k_trb_error, number};
    }
    if (!m_slots[number - 1].enabled()) {
        return {k_slot_not_enabled, number};
    }
    return execute_for_slot(command, m_slots[number - 1]);
}

XhciController::CommandResult XhciController::execute_for_slot(const Trb& command, Slot& slot) {
    const unsigned number = command.slot();
    const GuestAddress input = command.parameter & ~uint64_t{0xf};
    switch (command.type()) {
        case k_trb_disable_slot:
            slot.disable();
            m_due[number] = 0;
            return {k_success, number};
        case k_trb_address_device: return {address_device(command, slot), number};
        case k_trb_configure_endpoint: {
            using Deconfigure = Slot::Deconfigure;
            const bool all = (command.control & k_trb_deconfigure) != 0;
            return {slot.configure_endpoints(input, all ? Deconfigure::yes : Deconfigure::no), number};
        }
        case k_trb_evaluate_context: return {slot.evaluate_context(input), number};
        case k_trb_reset_device: return {slot.reset_device(), number};
        default: return {execute_for_endpoint(command, slot), number};
    }
}

Completion XhciController::execute_for_endpoint(const Trb& command, Slot& slot) {
    const unsigned index = command.endpoint();
    if (index == 0) {
        return k_trb_error;
    }
    Endpoint* const endpoint = slot.endpoint(index);
    if (endpoint == nullptr) {
        return k_endpoint_not_enabled;
    }
    switch (command.type()) {
        case k_trb_stop_endpoint: return endpoint->stop();
        case k_trb_reset_endpoint: return endpoint->reset();
        default: return endpoint->set_dequeue(RingPosition::unpack(command.parameter));
    }
}

XhciController::CommandResult XhciController::enable_slot() {
    const unsigned most = std::min(m_config & 0xff, k_slots);
    for (unsigned number = 1; number <= most; ++number) {
        if (!m_slots[number - 1].enabled()) {
            m_slots[number - 1].enable();
            m_due[number] = 0;
            return {k_success, number};
        }
    }
    return {k_no_slots, 0};
}

Completion XhciController::address_device(const Trb& command, Slot& slot) {
    const auto output = context().memory.read_value<uint64_t>(m_dcbaap + uint64_t{command.slot()} * sizeof(uint64_t));
    if (!output || (*output & ~uint64_t{0x3f}) == 0) {
        guest_errors().report("slot {} has no device context", command.slot());
        return k_parameter_error;
    }
    const bool blocked = (command.control & k_trb_block_set_address) != 0;
    return slot.address_device(command.parameter & ~uint64_t{0xf}, *output & ~uint64_t{0x3f},
                               [this](unsigned port) { return m_ports[port - 1].enabled_device(); },
                               blocked ? Slot::SetAddress::no : Slot::SetAddress::yes);
}

// 4.6.15: percents of the bandwidth that periodic endpoints may still take; nothing here ever runs short.
Completion XhciController::port_bandwidth(const Trb& command) {
    constexpr uint8_t k_periodic_percent = 80;
    std::array<uint8_t, k_ports + 1> context_bytes{};
    context_bytes.fill(k_periodic_percent);
    context_bytes[0] = 0;
    return context().memory.write(command.parameter & ~uint64_t{0xf}, context_bytes.data(), context_bytes.size())
               ? k_success
               : k_parameter_error;
}

}  // namespace skep
