// SPDX-License-Identifier: GPL-3.0-or-later
// What all USB devices answer alike: descriptors, address, configuration, features (USB 2.0, 9.4 and 9.6; USB 3.2, 9.4
// and 9.6). A device has one configuration and one interface.
#pragma once

#include <string>
#include <vector>

#include "devices/usb/usb_device.hpp"

namespace skep {

struct UsbEndpointSpec {
    uint8_t address = 0;  // with k_usb_in
    uint8_t attributes = 0;  // 2 bulk, 3 interrupt
    uint16_t max_packet_size = 0;
    uint8_t interval = 0;
    uint8_t max_burst = 0;  // of SuperSpeed: packets less one
};

struct UsbDescription {
    UsbSpeed speed = UsbSpeed::high;
    uint16_t product = 0;
    std::string name;
    std::string serial;  // may be empty
    uint8_t interface_class = 0;
    uint8_t interface_subclass = 0;
    uint8_t interface_protocol = 0;
    std::vector<uint8_t> class_descriptor;  // between interface and endpoints
    std::vector<UsbEndpointSpec> endpoints;
    bool may_wake_host = false;
};

class UsbFunction : public UsbDevice {
  public:
    explicit UsbFunction(UsbDescription description);

    [[nodiscard]] UsbSpeed speed() const final { return m_description.speed; }
    // Devices that override these call them.
    void plug(UsbPort& port) override { m_port = &port; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    UsbAnswer control(const UsbSetup& setup, std::vector<uint8_t>& data) final;
    UsbAnswer transfer(uint8_t endpoint, UsbTransfer& transfer) final;
    [[nodiscard]] bool may_wake_host() const final { return m_may_wake_host; }

  protected:
    // What is not standard: requests of the class and descriptors of the interface. Stall refuses.
    virtual UsbAnswer class_request(const UsbSetup& setup, std::vector<uint8_t>& data) = 0;
    // Only for endpoints that there are, of a configured device, that are not halted.
    virtual UsbAnswer move(uint8_t endpoint, UsbTransfer& transfer) = 0;
    // Clear Feature (ENDPOINT_HALT), also of an endpoint that is not halted.
    virtual void halt_cleared(uint8_t /*endpoint*/) {}

    [[nodiscard]] bool configured() const { return m_configuration != 0; }
    void halt(uint8_t endpoint) { m_halted |= halt_bit(endpoint); }
    [[nodiscard]] bool halted(uint8_t endpoint) const { return (m_halted & halt_bit(endpoint)) != 0; }
    // Null until it is plugged in.
    [[nodiscard]] UsbPort* port() const { return m_port; }

  private:
    static uint32_t halt_bit(uint8_t endpoint) { return 1U << ((endpoint & 0xf) + ((endpoint & k_usb_in) != 0 ? 16 : 0)); }
    [[nodiscard]] bool has_endpoint(uint8_t endpoint) const;
    UsbAnswer descriptor(const UsbSetup& setup, std::vector<uint8_t>& data);
    UsbAnswer set_configuration(uint16_t value);
    UsbAnswer set_feature(const UsbSetup& setup, bool on);
    UsbAnswer status(const UsbSetup& setup, std::vector<uint8_t>& data) const;

    UsbDescription m_description;
    std::vector<uint8_t> m_device_descriptor;
    std::vector<uint8_t> m_configuration_descriptor;
    UsbPort* m_port = nullptr;
    uint8_t m_configuration = 0;
    uint32_t m_halted = 0;
    bool m_may_wake_host = false;
};

}  // namespace skep
