// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/describe_devices.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "devices/catalogue/catalogue.hpp"

namespace skep {
namespace {

constexpr int k_format = 1;

std::string_view type_word(FieldType type) {
    switch (type) {
        case FieldType::text: return "text";
        case FieldType::long_text: return "long_text";
        case FieldType::boolean: return "boolean";
        case FieldType::integer: return "integer";
        case FieldType::size_mib: return "size";
        case FieldType::choice: return "choice";
        case FieldType::file: return "file";
        case FieldType::text_list: return "text_list";
    }
    return "text";
}

nlohmann::ordered_json option_json(const FieldDescriptor& field) {
    nlohmann::ordered_json option{{"path", field.path},
                                  {"label", field.label},
                                  {"help", field.help},
                                  {"type", type_word(field.type)},
                                  {"default", field.default_text}};
    if (!field.unit.empty()) {
        option["unit"] = field.unit;
    }
    if (field.maximum != 0) {
        option["minimum"] = field.minimum;
        option["maximum"] = field.maximum;
    }
    if (!field.choices.empty()) {
        option["choices"] = field.choices;
    }
    return option;
}

}  // namespace

std::string device_json() {
    nlohmann::ordered_json devices = nlohmann::ordered_json::array();
    for (const DeviceType& type : device_types()) {
        nlohmann::ordered_json options = nlohmann::ordered_json::array();
        for (const FieldDescriptor* field : device_options(type)) {
            options.push_back(option_json(*field));
        }
        devices.push_back({{"id", type.id},
                           {"bus", to_text(type.bus)},
                           {"always", type.presence == DevicePresence::always},
                           {"title", type.title},
                           {"document", type.document},
                           {"where", type.where},
                           {"options", std::move(options)}});
    }
    return nlohmann::ordered_json{{"format", k_format}, {"devices", std::move(devices)}}.dump(2) + "\n";
}

std::string device_text() {
    std::string text;
    for (const DeviceType& type : device_types()) {
        text += fmt::format("{} ({}{})\n    {}\n    after: {}\n    at: {}\n", type.id, to_text(type.bus),
                            type.presence == DevicePresence::always ? "" : ", by option", type.title, type.document, type.where);
        for (const FieldDescriptor* field : device_options(type)) {
            text += fmt::format("    option {}: {}\n", field->path, field->help);
        }
    }
    return text;
}

}  // namespace skep
