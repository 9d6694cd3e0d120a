// SPDX-License-Identifier: GPL-3.0-or-later
// An xHCI USB host controller, 1b36:000d at 00:1d.0, with eight USB 2 and eight USB 3 root ports (eXtensible Host
// Controller Interface 1.1). Left out: hubs, streams, isochronous transfers, virtualisation and debug capabilities, the
// holding back of interrupts (IMOD is kept, not obeyed), and saving its state for the guest: a restore says SRE.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/pci/pci_function.hpp"
#include "devices/usb/usb_device.hpp"
#include "devices/usb/xhci_interrupter.hpp"
#include "devices/usb/xhci_port.hpp"
#include "devices/usb/xhci_regs.hpp"
#include "devices/usb/xhci_slot.hpp"

namespace skep {

class XhciController final : public PciFunction {
  public:
    static constexpr PciAddress k_pci_address{0x1d, 0};

    explicit XhciController(DeviceContext& context);
    ~XhciController() override;

    // Plugs a device into the first free port of its speed, before the machine starts or while it runs; control thread.
    // Returns the port's number, from 1. Kind no_space when all are taken.
    [[nodiscard]] Result<unsigned> plug(std::unique_ptr<UsbDevice> device);
    // Pulls the device out, whatever the guest is doing with it. Returns when it is no longer used; null when the port
    // is empty.
    std::unique_ptr<UsbDevice> unplug(unsigned port);
    [[nodiscard]] UsbDevice* device(unsigned port) const { return m_devices[port].get(); }

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // What a device sees of its port.
    class PortHandle final : public UsbPort {
      public:
        PortHandle(XhciController& owner, unsigned port) : m_owner(owner), m_port(port) {}
        [[nodiscard]] IoGate& gate() override { return m_owner.gate(); }
        void wake(uint8_t endpoint) override { m_owner.wake(m_port, endpoint); }
        [[nodiscard]] bool endpoint_runs(uint8_t endpoint) const override { return m_owner.endpoint_runs(m_port, endpoint); }

      private:
        XhciController& m_owner;
        unsigned m_port;
    };

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;
    void bus_master_allowed() override;

    [[nodiscard]] uint32_t read_register(unsigned offset) const;
    [[nodiscard]] static uint32_t read_capability(unsigned offset);
    [[nodiscard]] uint32_t read_operational(unsigned offset) const;
    [[nodiscard]] uint32_t microframe() const;
    void write_register(unsigned offset, uint32_t value);
    void write_operational(unsigned offset, uint32_t value);
    void write_usbcmd(uint32_t value);
    void write_crcr(uint32_t value);
    void doorbell(unsigned slot, uint32_t value);
    void controller_reset();

    // Interrupts
    void interrupt_pending(unsigned index);
    void update_interrupt(unsigned index);
    [[nodiscard]] bool events_blocked() const;
    void post(unsigned interrupter, xhci::Trb event, xhci::Urgency urgency);
    void port_changed(unsigned port);

    // Work: rings that may have something to do.
    [[nodiscard]] bool may_run() const;
    void wake(unsigned port, uint8_t endpoint);
    void wake_port(unsigned port);
    [[nodiscard]] bool endpoint_runs(unsigned port, uint8_t endpoint) const;
    void set_due(unsigned slot, unsigned endpoint) { m_due[slot] |= 1U << endpoint; }
    void all_due();
    void process();
    bool run_endpoints(unsigned& budget);
    [[nodiscard]] xhci::RootPort* port_of(const xhci::Slot& slot) { return slot.port() != 0 ? &m_ports[slot.port() - 1] : nullptr; }

    // Commands (4.6)
    void run_commands(unsigned& budget);
    void stop_commands(xhci::Completion code);
    struct CommandResult {
        xhci::Completion code = xhci::k_success;
        unsigned slot = 0;
    };
    CommandResult execute(const xhci::Trb& command);
    CommandResult execute_for_slot(const xhci::Trb& command, xhci::Slot& slot);
    xhci::Completion execute_for_endpoint(const xhci::Trb& command, xhci::Slot& slot);
    CommandResult enable_slot();
    xhci::Completion address_device(const xhci::Trb& command, xhci::Slot& slot);
    xhci::Completion port_bandwidth(const xhci::Trb& command);
    void complete_command(GuestAddress command, CommandResult result);

    // Registers
    uint32_t m_usbcmd = 0;
    uint32_t m_usbsts = 0;
    uint32_t m_dnctrl = 0;
    uint64_t m_dcbaap = 0;
    uint32_t m_config = 0;
    xhci::RingPosition m_commands;
    bool m_commands_run = false;  // CRR
    Nanoseconds m_frame_zero = 0;  // when the controller was started

    const xhci::RootPort::Controller m_port_hooks;
    const xhci::Endpoint::Controller m_endpoint_hooks;
    std::vector<xhci::Interrupter> m_interrupters;
    std::vector<xhci::RootPort> m_ports;  // port 1 first
    std::vector<xhci::Slot> m_slots;      // slot 1 first

    std::array<std::unique_ptr<UsbDevice>, xhci::k_ports + 1> m_devices;  // by port
    std::vector<PortHandle> m_handles;                                    // by port
    std::array<uint32_t, xhci::k_slots + 1> m_due{};  // endpoints to look at
    bool m_commands_due = false;
    bool m_processing = false;
    bool m_paused = false;
    std::unique_ptr<Timer> m_timer;  // takes up what was more than a budget; last: its callback uses the rest
};

}  // namespace skep
