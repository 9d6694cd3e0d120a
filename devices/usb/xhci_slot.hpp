// SPDX-License-Identifier: GPL-3.0-or-later
// A device slot: the device context in guest memory and the endpoints (xHCI 1.1, 4.5, 4.6, 6.2).
#pragma once

#include <array>
#include <memory>

#include "devices/usb/xhci_endpoint.hpp"

namespace skep::xhci {

// With the controller's gate held.
class Slot {
  public:
    Slot(unsigned number, const Endpoint::Controller& controller) : m_number(number), m_controller(controller) {}

    [[nodiscard]] bool enabled() const { return m_enabled; }
    [[nodiscard]] SlotState state() const { return m_state; }
    // Root port, from 1; 0 before Address Device.
    [[nodiscard]] unsigned port() const { return m_port; }
    [[nodiscard]] Endpoint* endpoint(unsigned index) const { return m_endpoints[index].get(); }
    [[nodiscard]] Endpoint* endpoint_at(uint8_t address) const;

    void enable();
    void disable();

    // Commands (4.6.5 to 4.6.8, 4.6.11); input: address of an input context. output: the DCBAA's entry for the slot.
    enum class SetAddress { no, yes };
    // device_at: the device at a root port, null when there is none (that can be talked to).
    using DeviceAt = std::function<UsbDevice*(unsigned port)>;
    Completion address_device(GuestAddress input, GuestAddress output, const DeviceAt& device_at, SetAddress set_address);
    enum class Deconfigure { no, yes };
    Completion configure_endpoints(GuestAddress input, Deconfigure deconfigure);
    Completion evaluate_context(GuestAddress input);
    Completion reset_device();

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    struct InputContext {
        uint32_t drop = 0;
        uint32_t add = 0;
        Context slot;
    };
    [[nodiscard]] std::optional<InputContext> read_input(GuestAddress input) const;
    [[nodiscard]] std::optional<Context> read_endpoint_input(GuestAddress input, unsigned index) const;
    Endpoint& place_endpoint(unsigned index);
    void remove_endpoint(unsigned index);
    void write_context();

    unsigned m_number;
    const Endpoint::Controller& m_controller;
    bool m_enabled = false;
    SlotState m_state = k_slot_enabled;
    GuestAddress m_output = 0;
    Context m_words;  // words 0 to 2 as given; entries and state are put in when it is written
    unsigned m_port = 0;
    std::array<std::unique_ptr<Endpoint>, k_endpoints> m_endpoints;  // by device context index
};

}  // namespace skep::xhci
