// SPDX-License-Identifier: GPL-3.0-or-later
// A root port: its registers and the state of its link (xHCI 1.1, 4.15, 4.19, 5.4.8 to 5.4.11). A connector is a pair of
// a USB 2 and a USB 3 port; a device appears at the one of its speed.
#pragma once

#include <functional>
#include <memory>

#include "devices/usb/usb_device.hpp"
#include "devices/usb/xhci_regs.hpp"

namespace skep::xhci {

// With the controller's gate held.
class RootPort {
  public:
    struct Controller {
        std::function<void(unsigned port)> changed;  // a change bit has become 1
        std::function<void(unsigned port)> resumed;  // the link carries data again
    };
    // number: from 1.
    RootPort(unsigned number, const Controller& controller) : m_number(number), m_controller(controller) {}

    [[nodiscard]] bool is_usb3() const { return m_number > k_usb2_ports; }
    [[nodiscard]] UsbDevice* device() const { return m_device; }
    // The device, when it can be talked to: the port is enabled.
    [[nodiscard]] UsbDevice* enabled_device() const { return (m_portsc & k_portsc_ped) != 0 ? m_device : nullptr; }
    [[nodiscard]] bool suspended() const { return link() == k_link_u3 || link() == k_link_resume; }
    [[nodiscard]] bool has_changes() const { return (m_portsc & k_portsc_changes) != 0; }

    // Null: pulled out.
    void connect(UsbDevice* device);
    // Power-on, or the controller's reset.
    void reset();
    // A device signals resume; the driver does the rest.
    void wake();

    [[nodiscard]] uint32_t read(unsigned reg) const;
    void write(unsigned reg, uint32_t value);

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    [[nodiscard]] uint32_t link() const { return (m_portsc & k_portsc_pls) >> k_portsc_pls_shift; }
    void set_link(uint32_t state) { m_portsc = (m_portsc & ~k_portsc_pls) | state << k_portsc_pls_shift; }
    void set_speed(uint32_t speed) { m_portsc = (m_portsc & ~k_portsc_speed) | speed << k_portsc_speed_shift; }
    void appear();
    void change(uint32_t bits);
    void write_portsc(uint32_t value);
    void reset_link(uint32_t changes);
    void disable();
    void write_link(uint32_t state);

    unsigned m_number;
    const Controller& m_controller;
    UsbDevice* m_device = nullptr;
    uint32_t m_portsc = 0;
    uint32_t m_portpmsc = 0;
    uint32_t m_porthlpmc = 0;
};

}  // namespace skep::xhci
