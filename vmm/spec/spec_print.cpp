// SPDX-License-Identifier: GPL-3.0-or-later
// Writing vm.yaml: always in the table's order, unknown keys after the known ones of their group.
#include <algorithm>
#include <array>

#include "vmm/spec/field_table.hpp"
#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/yaml_tree.hpp"

namespace skep {
namespace {

constexpr std::string_view k_header =
    "# A Skep virtual machine. The window and `skepctl set` change this file; it may also be edited by hand.\n";

// Text of several lines as a literal block, when such a block reads back exactly; else an empty string.
std::string literal_block(const std::string& text, const std::string& indent) {
    const bool ends_once = text.ends_with('\n') && !text.ends_with("\n\n");
    const bool clean = text.find('\t') == std::string::npos && text.find('\n') != std::string::npos &&
                       text[0] != ' ' && text[0] != '\n' && !text.ends_with("\n\n") &&
                       text.find(" \n") == std::string::npos && !text.ends_with(' ');
    if (!clean) {
        return "";
    }
    std::string block = ends_once ? "|\n" : "|-\n";
    size_t start = 0;
    while (start < text.size()) {
        const size_t end = std::min(text.find('\n', start), text.size());
        block += end == start ? "\n" : fmt::format("{}  {}\n", indent, text.substr(start, end - start));
        start = end + 1;
    }
    block.pop_back();
    return block;
}

template <typename Owner>
std::string print_value(const Field<Owner>& field, const Owner& owner, const std::string& indent) {
    const std::string text = value_text(field, owner);
    switch (field.about.type) {
        case FieldType::boolean:
        case FieldType::integer:
        case FieldType::size_mib:
        case FieldType::choice: return text;
        case FieldType::text_list: {
            const auto& list = owner.*std::get<std::vector<std::string> Owner::*>(field.access);
            std::string items;
            for (const std::string& item : list) {
                items += fmt::format("{}{}", items.empty() ? "" : ", ", print_string(item));
            }
            return "[" + items + "]";
        }
        case FieldType::text:
        case FieldType::long_text:
        case FieldType::file: break;
    }
    const std::string block = text.empty() ? "" : literal_block(text, indent);
    return block.empty() ? print_string(text) : block;
}

template <typename Owner>
bool is_printed(const Field<Owner>& field, const Owner& owner) {
    return field.printing == Printing::always || value_text(field, owner) != value_text(field, Owner{});
}

template <typename Item>
std::string print_items(std::string_view name, std::span<const Field<Item>> fields, const std::vector<Item>& items) {
    if (items.empty()) {
        return "";
    }
    std::string text = fmt::format("{}:\n", name);
    for (const Item& item : items) {
        std::string lead = "  - ";
        for (const Field<Item>& field : fields) {
            if (is_printed(field, item)) {
                text += fmt::format("{}{}: {}\n", lead, field.key(), print_value(field, item, "    "));
                lead = "    ";
            }
        }
        for (const auto& [key, value] : item.unknown) {
            text += fmt::format("{}{}: {}\n", lead, print_string(key), value);
        }
    }
    return text;
}

struct Group {
    std::string_view name;
    UnknownKeys VmSpec::*unknown;
};
constexpr std::array k_groups{Group{"cpu", &VmSpec::unknown_cpu}, Group{"serial", &VmSpec::unknown_serial},
                              Group{"usb", &VmSpec::unknown_usb}, Group{"debug", &VmSpec::unknown_debug},
                              Group{"install", &VmSpec::unknown_install}};

std::string print_group(const Group& group, const VmSpec& spec) {
    std::string body;
    const std::string prefix = fmt::format("{}.", group.name);
    for (const Field<VmSpec>& field : machine_fields()) {
        if (field.key().starts_with(prefix) && is_printed(field, spec)) {
            body += fmt::format("  {}: {}\n", field.key().substr(prefix.size()), print_value(field, spec, "  "));
        }
    }
    for (const auto& [key, value] : spec.*group.unknown) {
        body += fmt::format("  {}: {}\n", print_string(key), value);
    }
    return body.empty() ? "" : fmt::format("{}:\n{}", group.name, body);
}

}  // namespace

std::string print_spec(const VmSpec& spec) {
    std::string text(k_header);
    for (const Field<VmSpec>& field : machine_fields()) {
        if (field.key().find('.') == std::string_view::npos && is_printed(field, spec)) {
            text += fmt::format("{}: {}\n", field.key(), print_value(field, spec, ""));
        }
    }
    text += print_items("disks", disk_fields(), spec.disks);
    text += print_items("cds", cd_fields(), spec.cds);
    text += print_items("networks", network_fields(), spec.networks);
    text += print_items("modules", module_fields(), spec.modules);
    for (const Group& group : k_groups) {
        text += print_group(group, spec);
    }
    for (const auto& [key, value] : spec.unknown) {
        text += fmt::format("{}: {}\n", print_string(key), value);
    }
    return text;
}

}  // namespace skep
