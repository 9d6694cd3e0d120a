// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/usb_descriptors.hpp"

namespace skep::usb {
namespace {

// pid.codes' vendor number; its products 0x0001 to 0x0010 are for devices that are not sold.
constexpr uint16_t k_vendor = 0x1209;
constexpr uint16_t k_us_english = 0x0409;
constexpr size_t k_most_string = 126;  // characters: bLength is a byte

using Bytes = std::vector<uint8_t>;

void add16(Bytes& bytes, uint16_t value) {
    bytes.push_back(static_cast<uint8_t>(value));
    bytes.push_back(static_cast<uint8_t>(value >> 8));
}

bool is_super(const UsbDescription& description) { return description.speed == UsbSpeed::super; }
uint16_t usb_version(const UsbDescription& description) { return is_super(description) ? 0x0300 : 0x0200; }
// An exponent of two for SuperSpeed.
uint8_t control_packet(const UsbDescription& description) { return is_super(description) ? 9 : 64; }

void add_endpoint(Bytes& bytes, const UsbEndpointSpec& endpoint, bool super) {
    bytes.insert(bytes.end(), {7, k_endpoint, endpoint.address, endpoint.attributes});
    add16(bytes, endpoint.max_packet_size);
    bytes.push_back(endpoint.interval);
    if (super) {
        bytes.insert(bytes.end(), {6, k_endpoint_companion, endpoint.max_burst, 0, 0, 0});
    }
}

}  // namespace

Bytes device_descriptor(const UsbDescription& description) {
    Bytes bytes{18, k_device};
    add16(bytes, usb_version(description));
    bytes.insert(bytes.end(), {0, 0, 0, control_packet(description)});  // the interface says the class
    add16(bytes, k_vendor);
    add16(bytes, description.product);
    add16(bytes, 0x0100);  // release
    bytes.insert(bytes.end(), {k_string_vendor, k_string_product,
                               description.serial.empty() ? uint8_t{0} : uint8_t{k_string_serial}, 1});
    return bytes;
}

Bytes configuration_descriptor(const UsbDescription& description) {
    constexpr uint8_t k_attributes = 0x80;
    constexpr uint8_t k_remote_wakeup = 0x20;
    Bytes bytes{9, k_configuration, 0, 0, 1, 1, 0,
                static_cast<uint8_t>(k_attributes | (description.may_wake_host ? k_remote_wakeup : 0)), 50};
    bytes.insert(bytes.end(), {9, k_interface, 0, 0, static_cast<uint8_t>(description.endpoints.size()),
                               description.interface_class, description.interface_subclass, description.interface_protocol, 0});
    bytes.insert(bytes.end(), description.class_descriptor.begin(), description.class_descriptor.end());
    for (const UsbEndpointSpec& endpoint : description.endpoints) {
        add_endpoint(bytes, endpoint, is_super(description));
    }
    bytes[2] = static_cast<uint8_t>(bytes.size());
    bytes[3] = static_cast<uint8_t>(bytes.size() >> 8);
    return bytes;
}

Bytes device_qualifier(const UsbDescription& description) {
    Bytes bytes{10, k_device_qualifier};
    add16(bytes, usb_version(description));
    bytes.insert(bytes.end(), {0, 0, 0, control_packet(description), 1, 0});
    return bytes;
}

Bytes bos_descriptor() {
    constexpr uint8_t k_usb2_extension = 2;
    constexpr uint8_t k_superspeed = 3;
    constexpr uint8_t k_speeds = 0x0e;  // full, high and SuperSpeed; all of it from full speed on
    return {5,  k_bos,               22, 0,                2,  //
            7,  k_device_capability, k_usb2_extension, 0, 0, 0, 0,
            10, k_device_capability, k_superspeed,     0, k_speeds, 0, 1, 0, 0, 0};
}

Bytes string_descriptor(std::string_view text) {
    const std::string_view fits = text.substr(0, k_most_string);
    Bytes bytes{static_cast<uint8_t>(2 + 2 * fits.size()), k_string};
    for (const char character : fits) {
        add16(bytes, static_cast<uint8_t>(character));
    }
    return bytes;
}

Bytes language_descriptor() {
    Bytes bytes{4, k_string};
    add16(bytes, k_us_english);
    return bytes;
}

}  // namespace skep::usb
