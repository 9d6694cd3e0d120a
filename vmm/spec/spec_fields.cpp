// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/spec_fields.hpp"

#include <charconv>
#include <optional>

#include "vmm/spec/field_table.hpp"

namespace skep {
namespace {

// A concrete path taken apart: "disks.disk0.file" and "disks[0].file" are {"disks", "disk0" or "0", "file"};
// "cpu.backend" has no list.
struct ItemPath {
    std::string_view list;
    std::string_view item;
    std::string_view key;
    bool by_index = false;
};

std::optional<ItemPath> split_item_path(std::string_view path) {
    for (const std::string_view list : {"disks", "cds", "networks", "modules"}) {
        if (!path.starts_with(list)) {
            continue;
        }
        std::string_view rest = path.substr(list.size());
        const bool by_index = rest.starts_with('[');
        const size_t end = by_index ? rest.find("].") : rest.find('.', 1);
        if ((!by_index && !rest.starts_with('.')) || end == std::string_view::npos) {
            return std::nullopt;
        }
        return ItemPath{list, rest.substr(1, end - 1), rest.substr(end + (by_index ? 2 : 1)), by_index};
    }
    return std::nullopt;
}

template <typename Owner>
const Field<Owner>* find_key(std::span<const Field<Owner>> fields, std::string_view key) {
    for (const Field<Owner>& field : fields) {
        if (field.key() == key) {
            return &field;
        }
    }
    return nullptr;
}

tl::unexpected<Error> no_such_field(std::string_view path) {
    return fail(ErrorKind::not_found, "There is no setting '{}'; `skepctl set --help` lists them.", path);
}

template <typename Item>
bool has_id(const Item& item, std::string_view id) {
    if constexpr (requires { item.id; }) {
        return item.id == id;
    } else {
        return false;
    }
}

template <typename Item>
Result<size_t> find_item(const std::vector<Item>& items, const ItemPath& path) {
    size_t index = items.size();
    if (path.by_index) {
        const auto [end, error] = std::from_chars(path.item.data(), path.item.data() + path.item.size(), index);
        if (error != std::errc{} || end != path.item.data() + path.item.size()) {
            index = items.size();
        }
    }
    for (size_t at = 0; at < items.size() && !path.by_index; ++at) {
        if (has_id(items[at], path.item)) {
            index = at;
        }
    }
    if (index >= items.size()) {
        return fail(ErrorKind::not_found, "There is no '{}' among the machine's {}.", path.item, path.list);
    }
    return index;
}

// Calls what(field, owner) for the field a path names.
template <typename Spec, typename Function>
auto with_field(Spec& spec, std::string_view path, Function what)
    -> decltype(what(machine_fields().front(), spec)) {
    const auto item_path = split_item_path(path);
    if (!item_path) {
        const auto* field = find_key(machine_fields(), path);
        return field == nullptr ? no_such_field(path) : what(*field, spec);
    }
    const auto in_list = [&](auto& items, auto fields) -> decltype(what(machine_fields().front(), spec)) {
        const auto index = find_item(items, *item_path);
        if (!index) {
            return tl::unexpected<Error>(index.error());
        }
        const auto* field = find_key(fields, item_path->key);
        return field == nullptr ? no_such_field(path) : what(*field, items[*index]);
    };
    if (item_path->list == "disks") {
        return in_list(spec.disks, disk_fields());
    }
    if (item_path->list == "cds") {
        return in_list(spec.cds, cd_fields());
    }
    return item_path->list == "networks" ? in_list(spec.networks, network_fields()) : in_list(spec.modules, module_fields());
}

template <typename Owner>
void collect(std::vector<const FieldDescriptor*>& all, std::span<const Field<Owner>> fields) {
    for (const Field<Owner>& field : fields) {
        all.push_back(&field.about);
    }
}

}  // namespace

std::vector<const FieldDescriptor*> spec_fields() {
    std::vector<const FieldDescriptor*> all;
    collect(all, machine_fields());
    collect(all, disk_fields());
    collect(all, cd_fields());
    collect(all, network_fields());
    collect(all, module_fields());
    return all;
}

const FieldDescriptor* find_field(std::string_view path) {
    std::string general(path);
    if (const auto item = split_item_path(path)) {
        general = fmt::format("{}[].{}", item->list, item->key);
    }
    for (const FieldDescriptor* field : spec_fields()) {
        if (field->path == general) {
            return field;
        }
    }
    return nullptr;
}

Result<std::string> get_field(const VmSpec& spec, std::string_view path) {
    return with_field(spec, path, [](const auto& field, const auto& owner) -> Result<std::string> {
        return value_text(field, owner);
    });
}

Status set_field(VmSpec& spec, std::string_view path, std::string_view text) {
    return with_field(spec, path, [&](const auto& field, auto& owner) -> Status {
        if (field.about.apply == Apply::never) {
            return fail(ErrorKind::invalid_input, "{} cannot be changed.", field.about.label);
        }
        return assign_text(field, owner, text);
    });
}

}  // namespace skep
