// SPDX-License-Identifier: GPL-3.0-or-later
// A small guest-side xHCI driver: rings, slots, contexts and transfers in guest RAM, as an operating system would do them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "devices/pci/pci_bus.hpp"
#include "devices/usb/usb_hid.hpp"
#include "devices/usb/usb_storage.hpp"
#include "devices/usb/xhci_controller.hpp"
#include "tests/support/fake_machine.hpp"
#include "tests/support/memory_block.hpp"

namespace skep::test {

struct XhciMachine : FakeMachine {
    XhciMachine() : bus(context) {
        context.pci = &bus;
        xhci = std::make_unique<XhciController>(context);
        xhci->reset();
    }
    [[nodiscard]] std::vector<std::byte> saved() const {
        StateWriter writer;
        xhci->save(writer);
        return writer.bytes();
    }
    [[nodiscard]] bool intx() { return irqs.levels[intx_gsi(XhciController::k_pci_address.slot, 0)]; }

    PciBus bus;
    InputHub hub;
    std::unique_ptr<XhciController> xhci;
};

class XhciDriver {
  public:
    using Trb = xhci::Trb;
    using Bytes = std::vector<uint8_t>;
    static constexpr uint64_t k_registers = 0xc300'0000;
    static constexpr PciAddress k_address = XhciController::k_pci_address;
    static constexpr GuestAddress k_dcbaa = 0x1000;
    static constexpr GuestAddress k_commands = 0x2000;
    static constexpr GuestAddress k_erst = 0x3000;
    static constexpr GuestAddress k_events = 0x4000;
    static constexpr GuestAddress k_input = 0x8000;
    static constexpr GuestAddress k_contexts = 0x1'0000;  // a page a slot
    static constexpr GuestAddress k_rings = 0x4'0000;     // a KiB an endpoint of the first slots
    static constexpr GuestAddress k_data = 0xc'0000;
    static constexpr unsigned k_ring_trbs = 64;  // the last is the link
    static constexpr unsigned k_event_trbs = 64;

    XhciDriver(FakeMachine& machine, PciBus& bus) : m_machine(machine), m_bus(bus) {}

    uint32_t reg(unsigned offset) { return static_cast<uint32_t>(m_machine.mmio.read(k_registers + offset, 4)); }
    void set_reg(unsigned offset, uint32_t value) { m_machine.mmio.write(k_registers + offset, 4, value); }
    uint32_t op(unsigned offset) { return reg(xhci::k_operational + offset); }
    void set_op(unsigned offset, uint32_t value) { set_reg(xhci::k_operational + offset, value); }
    uint32_t portsc(unsigned port) { return reg(xhci::k_port_registers + (port - 1) * xhci::k_port_size); }
    void set_portsc(unsigned port, uint32_t value) { set_reg(xhci::k_port_registers + (port - 1) * xhci::k_port_size, value); }
    uint32_t ir(unsigned offset) { return reg(xhci::k_interrupter_registers + offset); }
    void set_ir(unsigned offset, uint32_t value) { set_reg(xhci::k_interrupter_registers + offset, value); }

    void enable_pci() {
        m_bus.config_write(k_address, 0x10, 4, static_cast<uint32_t>(k_registers));
        m_bus.config_write(k_address, 0x14, 4, 0);
        m_bus.config_write(k_address, 0x04, 2, 6);
    }
    // Rings and tables as new; the controller runs and tells of its events by INTx.
    void start(uint32_t event_trbs = k_event_trbs) {
        enable_pci();
        set_op(xhci::k_usbcmd, xhci::k_cmd_hcrst);
        m_event_trbs = event_trbs;
        m_event = 0;
        m_event_cycle = true;
        m_rings.clear();
        m_kept.clear();
        clear(k_dcbaa, 0x1000);
        clear(k_commands, 0x1000);
        clear(k_events, 0x1000);
        clear(k_contexts, 0x2'0000);
        clear(k_rings, 0x4'0000);
        m_commands = ring_at(k_commands);
        for (uint64_t slot = 1; slot <= xhci::k_slots; ++slot) {
            put(k_dcbaa + slot * 8, k_contexts + slot * 0x1000);
        }
        set_op(xhci::k_config, xhci::k_slots);
        set_op(xhci::k_dcbaap, static_cast<uint32_t>(k_dcbaa));
        set_op(xhci::k_dcbaap + 4, 0);
        set_op(xhci::k_crcr, static_cast<uint32_t>(k_commands) | 1);
        set_op(xhci::k_crcr + 4, 0);
        put(k_erst, Trb{k_events, event_trbs, 0});
        set_ir(xhci::k_erstsz, 1);
        set_ir(xhci::k_erdp, static_cast<uint32_t>(k_events));
        set_ir(xhci::k_erdp + 4, 0);
        set_ir(xhci::k_erstba, static_cast<uint32_t>(k_erst));
        set_ir(xhci::k_erstba + 4, 0);
        set_ir(xhci::k_iman, xhci::k_iman_ie);
        set_op(xhci::k_usbcmd, xhci::k_cmd_rs | xhci::k_cmd_inte);
    }

    // --- events ------------------------------------------------------------------------------------------------
    std::optional<Trb> next_event() {
        const GuestAddress at = k_events + m_event * xhci::k_trb_size;
        const auto event = m_machine.memory->read_value<Trb>(at);
        if (!event || event->cycle() != m_event_cycle) {
            return std::nullopt;
        }
        if (++m_event == m_event_trbs) {
            m_event = 0;
            m_event_cycle = !m_event_cycle;
        }
        return event;
    }
    void tell_dequeue() {
        set_ir(xhci::k_iman, xhci::k_iman_ip | xhci::k_iman_ie);
        set_ir(xhci::k_erdp, static_cast<uint32_t>(k_events + m_event * xhci::k_trb_size) | static_cast<uint32_t>(xhci::k_erdp_ehb));
    }
    // The next event of a type; others are kept for later calls.
    std::optional<Trb> event(uint8_t type) {
        const auto kept = std::find_if(m_kept.begin(), m_kept.end(), [type](const Trb& each) { return each.type() == type; });
        if (kept != m_kept.end()) {
            const Trb found = *kept;
            m_kept.erase(kept);
            return found;
        }
        std::optional<Trb> found;
        while (auto next = next_event()) {
            if (!found && next->type() == type) {
                found = next;
            } else {
                m_kept.push_back(*next);
            }
        }
        tell_dequeue();
        return found;
    }
    std::optional<Trb> transfer_event() { return event(xhci::k_trb_transfer_event); }
    static uint8_t code(const std::optional<Trb>& event) { return event ? static_cast<uint8_t>(event->status >> 24) : 0; }

    // --- rings ---------------------------------------------------------------------------------------------------
    struct Ring {
        GuestAddress start = 0;
        unsigned next = 0;
        bool cycle = true;
    };
    // Writes a TRB whose turn it is; the link and its cycle bit are looked after.
    GuestAddress push(Ring& ring, Trb trb) {
        const GuestAddress at = ring.start + ring.next * xhci::k_trb_size;
        trb.control = (trb.control & ~1U) | (ring.cycle ? 1 : 0);
        put(at, trb);
        if (++ring.next == k_ring_trbs - 1) {
            const uint32_t chain = trb.control & xhci::k_trb_chain;
            put(ring.start + ring.next * xhci::k_trb_size,
                Trb{ring.start, 0, xhci::trb_type_bits(xhci::k_trb_link) | xhci::k_trb_toggle_cycle | chain | (ring.cycle ? 1U : 0U)});
            ring.next = 0;
            ring.cycle = !ring.cycle;
        }
        return at;
    }
    Ring& ring(unsigned slot, unsigned endpoint) {
        Ring& found = m_rings[slot * 32 + endpoint];
        if (found.start == 0) {
            found = ring_at(k_rings + ((slot - 1) % 8 * 32 + endpoint) * 0x400);
        }
        return found;
    }
    GuestAddress push(unsigned slot, unsigned endpoint, const Trb& trb) { return push(ring(slot, endpoint), trb); }
    void doorbell(unsigned slot, unsigned endpoint) { set_reg(xhci::k_doorbells + slot * 4, endpoint); }

    // --- commands ---------------------------------------------------------------------------------------------------
    std::optional<Trb> command(xhci::TrbType type, unsigned slot = 0, uint64_t parameter = 0, uint32_t flags = 0) {
        push(m_commands, {parameter, 0, xhci::trb_type_bits(type) | slot << 24 | flags});
        doorbell(0, 0);
        return event(xhci::k_trb_command_completion);
    }
    uint8_t endpoint_command(xhci::TrbType type, unsigned slot, unsigned endpoint, uint64_t parameter = 0) {
        return code(command(type, slot, parameter, endpoint << 16));
    }
    xhci::Context context(unsigned slot, unsigned index) {
        return m_machine.memory->read_value<xhci::Context>(k_contexts + slot * 0x1000 + index * 32).value_or(xhci::Context{});
    }
    unsigned endpoint_state(unsigned slot, unsigned endpoint) { return context(slot, endpoint).words[0] & 7; }
    unsigned slot_state(unsigned slot) { return context(slot, 0).words[3] >> 27; }

    void put_control_input(unsigned slot, unsigned port, uint32_t max_packet) {
        clear(k_input, 0x420);
        put(k_input + 4, uint32_t{3});
        put(k_input + 32, xhci::Context{{1U << 27, port << 16, 0, 0, 0, 0, 0, 0}});
        const Ring& zero = ring(slot, 1);
        put(k_input + 64, xhci::Context{{0, 4U << 3 | 3U << 1 | max_packet << 16, dequeue(zero), 0, 8, 0, 0, 0}});
    }
    // Port reset, slot, address: 0 when some of it failed.
    unsigned address_device(unsigned port, uint32_t flags = 0) {
        if (port <= xhci::k_usb2_ports) {
            set_portsc(port, xhci::k_portsc_pr | xhci::k_portsc_pp);
        }
        const auto enabled = command(xhci::k_trb_enable_slot);
        if (code(enabled) != xhci::k_success) {
            return 0;
        }
        const unsigned slot = enabled->slot();
        m_rings.erase(slot * 32 + 1);
        put_control_input(slot, port, port <= xhci::k_usb2_ports ? 64 : 512);
        return code(command(xhci::k_trb_address_device, slot, k_input, flags)) == xhci::k_success ? slot : 0;
    }
    struct EndpointSetup {
        unsigned index = 0;
        uint32_t type = 0;  // 2 bulk out, 6 bulk in, 7 interrupt in
        uint32_t max_packet = 0;
    };
    uint8_t configure_endpoints(unsigned slot, const std::vector<EndpointSetup>& endpoints, uint32_t drop = 0) {
        clear(k_input, 0x420);
        uint32_t add = 1;
        for (const EndpointSetup& each : endpoints) {
            add |= 1U << each.index;
            m_rings.erase(slot * 32 + each.index);
            put(k_input + (each.index + 1) * 32,
                xhci::Context{{3U << 16, each.type << 3 | 3U << 1 | each.max_packet << 16, dequeue(ring(slot, each.index)), 0, 8, 0, 0, 0}});
        }
        put(k_input, drop);
        put(k_input + 4, add);
        put(k_input + 32, context(slot, 0));
        return code(command(xhci::k_trb_configure_endpoint, slot, k_input));
    }

    // --- transfers ---------------------------------------------------------------------------------------------------
    static uint64_t setup(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t length) {
        return type | uint64_t{request} << 8 | uint64_t{value} << 16 | uint64_t{index} << 32 | uint64_t{length} << 48;
    }
    // Completion code of the status stage (or of what failed before); the data go to or come from k_data.
    uint8_t control(unsigned slot, uint64_t packet) {
        const bool in = (packet & 0x80) != 0;
        const auto length = static_cast<uint32_t>(packet >> 48);
        const uint32_t transfer_type = length == 0 ? 0 : in ? 3U << 16 : 2U << 16;
        push(slot, 1, {packet, 8, xhci::trb_type_bits(xhci::k_trb_setup) | xhci::k_trb_idt | transfer_type});
        if (length != 0) {
            push(slot, 1, {k_data, length, xhci::trb_type_bits(xhci::k_trb_data) | (in ? xhci::k_trb_direction_in : 0)});
        }
        const bool status_in = length == 0 || !in;
        push(slot, 1, {0, 0, xhci::trb_type_bits(xhci::k_trb_status) | xhci::k_trb_ioc | (status_in ? xhci::k_trb_direction_in : 0)});
        doorbell(slot, 1);
        return code(transfer_event());
    }
    Bytes descriptor(unsigned slot, uint16_t value, uint16_t length = 255, uint8_t type = 0x80) {
        clear(k_data, length);
        if (control(slot, setup(type, 6, value, 0, length)) != xhci::k_success) {
            recover(slot, 1);
            return {};
        }
        return read(k_data, length);
    }
    // What halted goes on behind all that is in its ring.
    void recover(unsigned slot, unsigned endpoint) {
        endpoint_command(xhci::k_trb_reset_endpoint, slot, endpoint);
        endpoint_command(xhci::k_trb_set_tr_dequeue, slot, endpoint, dequeue(ring(slot, endpoint)));
    }
    // One TRB; without an event when it has to wait.
    std::optional<Trb> normal(unsigned slot, unsigned endpoint, GuestAddress data, uint32_t length) {
        push(slot, endpoint, {data, length, xhci::trb_type_bits(xhci::k_trb_normal) | xhci::k_trb_ioc | xhci::k_trb_isp});
        doorbell(slot, endpoint);
        return transfer_event();
    }

    // --- devices ---------------------------------------------------------------------------------------------------------
    static constexpr unsigned k_interrupt_in = 3, k_bulk_in = 3, k_bulk_out = 4;
    // A slot, configured; 0 when some of it failed.
    unsigned start_hid(unsigned port) {
        const unsigned slot = address_device(port);
        return slot != 0 && configure_endpoints(slot, {{k_interrupt_in, 7, 16}}) == xhci::k_success &&
                       control(slot, setup(0, 9, 1, 0, 0)) == xhci::k_success
                   ? slot
                   : 0;
    }
    unsigned start_storage(unsigned port) {
        const unsigned slot = address_device(port);
        return slot != 0 && configure_endpoints(slot, {{k_bulk_in, 6, 1024}, {k_bulk_out, 2, 1024}}) == xhci::k_success &&
                       control(slot, setup(0, 9, 1, 0, 0)) == xhci::k_success
                   ? slot
                   : 0;
    }
    void put_cbw(GuestAddress at, uint32_t tag, uint32_t length, bool in, const Bytes& cdb) {
        std::array<uint8_t, 31> cbw{'U', 'S', 'B', 'C'};
        std::memcpy(&cbw[4], &tag, 4);
        std::memcpy(&cbw[8], &length, 4);
        cbw[12] = in ? 0x80 : 0;
        cbw[14] = static_cast<uint8_t>(cdb.size());
        std::copy(cdb.begin(), cdb.end(), cbw.begin() + 15);
        write(at, Bytes(cbw.begin(), cbw.end()));
    }
    void send_cbw(unsigned slot, uint32_t tag, uint32_t length, bool in, const Bytes& cdb) {
        put_cbw(k_data - 0x100, tag, length, in, cdb);
        EXPECT_EQ(code(normal(slot, k_bulk_out, k_data - 0x100, 31)), xhci::k_success);
    }
    // Asks for the CSW; its status byte, or 0xff. residue: what was not moved.
    void ask_csw(unsigned slot) {
        clear(k_data - 0x80, 13);
        push(slot, k_bulk_in, {k_data - 0x80, 13, xhci::trb_type_bits(xhci::k_trb_normal) | xhci::k_trb_ioc});
        doorbell(slot, k_bulk_in);
    }
    uint8_t csw(uint32_t tag, uint32_t* residue = nullptr) {
        const Bytes bytes = read(k_data - 0x80, 13);
        uint32_t found = 0;
        std::memcpy(&found, &bytes[4], 4);
        if (std::memcmp(bytes.data(), "USBS", 4) != 0 || found != tag) {
            return 0xff;
        }
        if (residue != nullptr) {
            std::memcpy(residue, &bytes[8], 4);
        }
        return bytes[12];
    }

    // --- memory -----------------------------------------------------------------------------------------------------------
    template <typename T>
    void put(GuestAddress at, const T& value) {
        static_cast<void>(m_machine.memory->write_value(at, value));
    }
    void write(GuestAddress at, const Bytes& bytes) { static_cast<void>(m_machine.memory->write(at, bytes.data(), bytes.size())); }
    Bytes read(GuestAddress at, size_t size) {
        Bytes bytes(size);
        static_cast<void>(m_machine.memory->read(at, bytes.data(), size));
        return bytes;
    }
    void clear(GuestAddress at, size_t size) {
        static constexpr std::array<uint8_t, k_page_size> k_zeros{};
        for (size_t done = 0; done < size; done += k_zeros.size()) {
            static_cast<void>(m_machine.memory->write(at + done, k_zeros.data(), std::min(k_zeros.size(), size - done)));
        }
    }
    static uint32_t dequeue(const Ring& ring) {
        return static_cast<uint32_t>(ring.start + ring.next * xhci::k_trb_size) | (ring.cycle ? 1 : 0);
    }

  private:
    static Ring ring_at(GuestAddress start) { return {start, 0, true}; }

    FakeMachine& m_machine;
    PciBus& m_bus;
    Ring m_commands;
    std::map<unsigned, Ring> m_rings;  // by slot * 32 + endpoint
    uint32_t m_event_trbs = k_event_trbs;
    uint32_t m_event = 0;
    bool m_event_cycle = true;
    std::deque<Trb> m_kept;
};

}  // namespace skep::test
