// SPDX-License-Identifier: GPL-3.0-or-later
// The list of device types (devices/catalogue.def) as data: what exists, by which document, where a guest finds it and
// which settings of the machine concern it. It links no device.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "vmm/spec/spec_fields.hpp"

namespace skep {

enum class DeviceBus { processor, chipset, isa, pci };
enum class DevicePresence { always, by_option };  // by_option: a setting brings it

// All text is static.
struct DeviceType {
    std::string_view id;        // an instance's name is this, or this with a number, or with "-" and the setting's id
    DeviceBus bus = DeviceBus::chipset;
    DevicePresence presence = DevicePresence::always;
    std::string_view title;
    std::string_view document;  // after which it is made
    std::string_view where;     // ports, addresses or PCI function
    std::string_view options;   // paths of settings, separated by blanks
};

[[nodiscard]] std::span<const DeviceType> device_types();
// The type of a machine's device by its Device::name() ("serial0", "virtio-blk-disk0"); null when it is not listed.
[[nodiscard]] const DeviceType* find_device_type(std::string_view device_name);
// The settings that concern it, as dialogs and commands know them.
[[nodiscard]] std::vector<const FieldDescriptor*> device_options(const DeviceType& type);
[[nodiscard]] std::string_view to_text(DeviceBus bus);

}  // namespace skep
