// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/catalogue/catalogue.hpp"

#include <algorithm>
#include <array>

namespace skep {
namespace {

constexpr std::array k_types{
#define SKEP_DEVICE(id, bus, presence, title, document, where, options) \
    DeviceType{id, DeviceBus::bus, DevicePresence::presence, title, document, where, options},
#include "devices/catalogue.def"
};

bool is_number(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
}

}  // namespace

std::span<const DeviceType> device_types() { return k_types; }

const DeviceType* find_device_type(std::string_view device_name) {
    for (const DeviceType& type : k_types) {
        if (!device_name.starts_with(type.id)) {
            continue;
        }
        const std::string_view rest = device_name.substr(type.id.size());
        if (is_number(rest) || rest.starts_with('-')) {
            return &type;
        }
    }
    return nullptr;
}

std::vector<const FieldDescriptor*> device_options(const DeviceType& type) {
    std::vector<const FieldDescriptor*> fields;
    for (size_t at = 0; at < type.options.size();) {
        const size_t end = std::min(type.options.find(' ', at), type.options.size());
        const std::string_view path = type.options.substr(at, end - at);
        for (const FieldDescriptor* field : spec_fields()) {
            if (field->path == path) {
                fields.push_back(field);
            }
        }
        at = end + 1;
    }
    return fields;
}

std::string_view to_text(DeviceBus bus) {
    switch (bus) {
        case DeviceBus::processor: return "processor";
        case DeviceBus::chipset: return "chipset";
        case DeviceBus::isa: return "isa";
        case DeviceBus::pci: return "pci";
    }
    return "chipset";
}

}  // namespace skep
