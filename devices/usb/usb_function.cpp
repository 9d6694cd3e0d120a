// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/usb_function.hpp"

#include <algorithm>

#include "devices/usb/usb_descriptors.hpp"

namespace skep {
namespace {

// bmRequestType << 8 | bRequest (USB 2.0, table 9-3; USB 3.2, table 9-4)
enum Request : uint16_t {
    k_get_status_device = 0x8000,
    k_get_status_interface = 0x8100,
    k_get_status_endpoint = 0x8200,
    k_clear_feature_device = 0x0001,
    k_clear_feature_interface = 0x0101,
    k_clear_feature_endpoint = 0x0201,
    k_set_feature_device = 0x0003,
    k_set_feature_interface = 0x0103,
    k_set_feature_endpoint = 0x0203,
    k_set_address = 0x0005,
    k_get_descriptor = 0x8006,
    k_get_configuration = 0x8008,
    k_set_configuration = 0x0009,
    k_get_interface = 0x810a,
    k_set_interface = 0x010b,
    k_set_sel = 0x0030,
    k_set_isochronous_delay = 0x0031,
};

enum Feature : uint16_t {
    k_endpoint_halt = 0,
    k_device_remote_wakeup = 1,
    k_u1_enable = 48,
    k_u2_enable = 49,
    k_ltm_enable = 50,
};

constexpr uint8_t k_the_configuration = 1;
constexpr uint8_t k_status_remote_wakeup = 2;

}  // namespace

UsbFunction::UsbFunction(UsbDescription description)
    : m_description(std::move(description)),
      m_device_descriptor(usb::device_descriptor(m_description)),
      m_configuration_descriptor(usb::configuration_descriptor(m_description)) {}

void UsbFunction::reset() {
    m_configuration = 0;
    m_halted = 0;
    m_may_wake_host = false;
}

bool UsbFunction::has_endpoint(uint8_t endpoint) const {
    return std::any_of(m_description.endpoints.begin(), m_description.endpoints.end(),
                       [endpoint](const UsbEndpointSpec& each) { return each.address == endpoint; });
}

UsbAnswer UsbFunction::transfer(uint8_t endpoint, UsbTransfer& transfer) {
    if (!configured() || !has_endpoint(endpoint) || halted(endpoint)) {
        return UsbAnswer::stall;
    }
    return move(endpoint, transfer);
}

UsbAnswer UsbFunction::control(const UsbSetup& setup, std::vector<uint8_t>& data) {
    switch (setup.key()) {
        case k_get_descriptor: return descriptor(setup, data);
        case k_get_status_device:
        case k_get_status_interface:
        case k_get_status_endpoint: return status(setup, data);
        case k_set_feature_device:
        case k_set_feature_interface:
        case k_set_feature_endpoint: return set_feature(setup, true);
        case k_clear_feature_device:
        case k_clear_feature_interface:
        case k_clear_feature_endpoint: return set_feature(setup, false);
        case k_get_configuration: data = {m_configuration}; return UsbAnswer::ack;
        case k_set_configuration: return set_configuration(setup.value);
        case k_get_interface: data = {0}; return configured() ? UsbAnswer::ack : UsbAnswer::stall;
        case k_set_interface:
            if (setup.value != 0 || setup.index != 0 || !configured()) {
                return UsbAnswer::stall;
            }
            m_halted = 0;
            return UsbAnswer::ack;
        case k_set_address:  // the controller's own request
        case k_set_sel:
        case k_set_isochronous_delay: return UsbAnswer::ack;
        default: return class_request(setup, data);
    }
}

UsbAnswer UsbFunction::descriptor(const UsbSetup& setup, std::vector<uint8_t>& data) {
    const auto index = static_cast<uint8_t>(setup.value);
    const bool super = m_description.speed == UsbSpeed::super;
    switch (setup.value >> 8) {
        case usb::k_device: data = m_device_descriptor; break;
        case usb::k_configuration: data = index == 0 ? m_configuration_descriptor : std::vector<uint8_t>{}; break;
        case usb::k_device_qualifier:
            data = m_description.speed == UsbSpeed::high ? usb::device_qualifier(m_description) : std::vector<uint8_t>{};
            break;
        case usb::k_bos: data = super ? usb::bos_descriptor() : std::vector<uint8_t>{}; break;
        case usb::k_string:
            switch (index) {
                case usb::k_string_languages: data = usb::language_descriptor(); break;
                case usb::k_string_vendor: data = usb::string_descriptor("Skep"); break;
                case usb::k_string_product: data = usb::string_descriptor(m_description.name); break;
                case usb::k_string_serial:
                    data = m_description.serial.empty() ? std::vector<uint8_t>{} : usb::string_descriptor(m_description.serial);
                    break;
                default: data.clear(); break;
            }
            break;
        default: return class_request(setup, data);
    }
    return data.empty() ? UsbAnswer::stall : UsbAnswer::ack;
}

UsbAnswer UsbFunction::set_configuration(uint16_t value) {
    if (value > k_the_configuration) {
        return UsbAnswer::stall;
    }
    m_configuration = static_cast<uint8_t>(value);
    m_halted = 0;
    return UsbAnswer::ack;
}

UsbAnswer UsbFunction::set_feature(const UsbSetup& setup, bool on) {
    switch (setup.type & 0x1f) {
        case 0:
            if (setup.value == k_device_remote_wakeup && m_description.may_wake_host) {
                m_may_wake_host = on;
                return UsbAnswer::ack;
            }
            return m_description.speed == UsbSpeed::super && setup.value >= k_u1_enable && setup.value <= k_ltm_enable
                       ? UsbAnswer::ack
                       : UsbAnswer::stall;
        case 1: return m_description.speed == UsbSpeed::super && setup.value == 0 ? UsbAnswer::ack : UsbAnswer::stall;
        default: break;
    }
    const auto endpoint = static_cast<uint8_t>(setup.index);
    if (setup.value != k_endpoint_halt || (!has_endpoint(endpoint) && (endpoint & 0xf) != 0)) {
        return UsbAnswer::stall;
    }
    if ((endpoint & 0xf) == 0) {
        return UsbAnswer::ack;
    }
    if (on) {
        halt(endpoint);
    } else {
        m_halted &= ~halt_bit(endpoint);
        halt_cleared(endpoint);
    }
    return UsbAnswer::ack;
}

UsbAnswer UsbFunction::status(const UsbSetup& setup, std::vector<uint8_t>& data) const {
    data = {0, 0};
    switch (setup.key()) {
        case k_get_status_device: data[0] = m_may_wake_host ? k_status_remote_wakeup : 0; break;
        case k_get_status_endpoint: data[0] = halted(static_cast<uint8_t>(setup.index)) ? 1 : 0; break;
        default: break;
    }
    return UsbAnswer::ack;
}

void UsbFunction::save(StateWriter& writer) const {
    writer.put(m_configuration);
    writer.put(m_halted);
    writer.put(static_cast<uint8_t>(m_may_wake_host ? 1 : 0));
}

void UsbFunction::load(StateReader& reader) {
    m_configuration = reader.get<uint8_t>() != 0 ? k_the_configuration : 0;
    reader.get(m_halted);
    m_may_wake_host = reader.get<uint8_t>() != 0;
}

}  // namespace skep
