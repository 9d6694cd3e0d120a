// SPDX-License-Identifier: GPL-3.0-or-later
// An endpoint of a slot: its context, its transfer ring and the transfer under way (xHCI 1.1, 4.6.8 to 4.6.10, 4.8, 4.11).
// Left out: streams and isochronous endpoints, of which no device here has any.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "devices/usb/usb_device.hpp"
#include "devices/usb/xhci_interrupter.hpp"
#include "devices/usb/xhci_ring.hpp"
#include "vmm/base/log.hpp"

namespace skep::xhci {

// With the controller's gate held.
class Endpoint {
  public:
    struct Controller {
        GuestMemory& memory;
        GuestErrorLog& guest_errors;
        std::function<void(unsigned interrupter, Trb event, Urgency urgency)> post;
        std::function<bool()> blocked;  // an event ring is full
    };
    // slot: its number; index: device context index, 1 (the default control endpoint) to 31. The controller outlives it.
    Endpoint(unsigned slot, unsigned index, const Controller& controller)
        : m_slot(slot), m_index(index), m_controller(controller) {}

    // What a device calls it: number and k_usb_in. The default control endpoint is 0.
    [[nodiscard]] uint8_t address() const {
        return static_cast<uint8_t>(m_index / 2 | (m_index > 1 && m_index % 2 != 0 ? k_usb_in : 0));
    }
    [[nodiscard]] EndpointState state() const { return m_state; }

    // From an input context; it runs then. False when the context makes no sense.
    bool configure(const Context& input);
    void disable();
    // Evaluate Context: the maximum packet size of the default control endpoint.
    void set_max_packet_size(uint32_t size);
    // Where the output context is; written at every change from now on. 0: nowhere.
    void place_context(GuestAddress address) { m_context = address; }

    void ring_doorbell();
    Completion stop();
    Completion reset();
    Completion set_dequeue(RingPosition position);

    // Moves on with what the ring asks for, for up to `budget` transfers, which is counted down. device: null when it
    // has been pulled out. False when the budget has ended it.
    bool run(UsbDevice* device, unsigned& budget);
    // The device was pulled out: the transfer under way fails.
    void disconnected();

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    // A transfer descriptor: TRBs chained to one transfer.
    struct Descriptor {
        std::vector<FetchedTrb> trbs;
        RingPosition next;
        GuestBuffer data;
    };
    enum class Stage : uint8_t { none, data, status };  // of a control transfer: what comes next

    [[nodiscard]] bool is_control() const { return m_type == k_ep_control; }
    [[nodiscard]] bool is_in(const FetchedTrb& first) const;
    Fetch parse(Descriptor& to);
    [[nodiscard]] bool add_data(Descriptor& to, const FetchedTrb& trb);
    std::optional<UsbAnswer> carry_out(UsbDevice& device, const Descriptor& descriptor);
    std::optional<UsbAnswer> control_stage(UsbDevice& device, const Descriptor& descriptor);
    std::optional<UsbAnswer> setup_stage(UsbDevice& device, const Trb& trb);
    UsbAnswer data_stage(const Descriptor& descriptor);
    void end_control();
    std::optional<UsbAnswer> move_data(UsbDevice& device, const Descriptor& descriptor);
    void complete(const Descriptor& descriptor);
    void fail(const Descriptor& descriptor, Completion code, EndpointState state);
    void post(const Trb& trb, uint64_t pointer, Completion code, uint32_t length, uint32_t flags = 0);
    void set_state(EndpointState state);
    void write_context();

    unsigned m_slot;
    unsigned m_index;
    const Controller& m_controller;
    GuestAddress m_context = 0;
    Context m_words;  // as configured; state and dequeue pointer are put in when it is written
    EndpointState m_state = k_ep_disabled;
    uint8_t m_type = 0;
    RingPosition m_dequeue;
    uint64_t m_moved = 0;  // bytes of the transfer at m_dequeue
    std::optional<Descriptor> m_current;  // parsed, at m_dequeue; not saved, the ring has it

    Stage m_stage = Stage::none;
    UsbSetup m_setup;
    bool m_refused = false;  // the request, told at its next stage
    std::vector<uint8_t> m_data;
    uint32_t m_data_moved = 0;
};

}  // namespace skep::xhci
