// SPDX-License-Identifier: GPL-3.0-or-later
// The bytes of standard descriptors (USB 2.0, 9.6; USB 3.2, 9.6).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "devices/usb/usb_function.hpp"

namespace skep::usb {

enum DescriptorType : uint8_t {
    k_device = 1,
    k_configuration = 2,
    k_string = 3,
    k_interface = 4,
    k_endpoint = 5,
    k_device_qualifier = 6,
    k_bos = 15,
    k_device_capability = 16,
    k_endpoint_companion = 48,
};

enum StringIndex : uint8_t { k_string_languages = 0, k_string_vendor = 1, k_string_product = 2, k_string_serial = 3 };

[[nodiscard]] std::vector<uint8_t> device_descriptor(const UsbDescription& description);
// The configuration with all that belongs to it.
[[nodiscard]] std::vector<uint8_t> configuration_descriptor(const UsbDescription& description);
// What a high-speed device would be at full speed.
[[nodiscard]] std::vector<uint8_t> device_qualifier(const UsbDescription& description);
// Binary device object store: what a SuperSpeed device can do.
[[nodiscard]] std::vector<uint8_t> bos_descriptor();
// text: ASCII.
[[nodiscard]] std::vector<uint8_t> string_descriptor(std::string_view text);
[[nodiscard]] std::vector<uint8_t> language_descriptor();

}  // namespace skep::usb
