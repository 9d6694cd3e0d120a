// SPDX-License-Identifier: GPL-3.0-or-later
// Reading vm.yaml: the tree is matched against the field table; what the table does not know is kept as text.
#include "vmm/spec/spec_yaml.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "vmm/spec/field_table.hpp"
#include "vmm/spec/validate.hpp"
#include "vmm/spec/yaml_tree.hpp"

namespace skep {
namespace {

constexpr size_t k_max_items = 32;  // disks, CDs or modules of one machine

class Reader {
  public:
    explicit Reader(std::string_view file_name) : m_file_name(file_name) {}

    Result<VmSpec> read(const YamlNode& root) {
        VmSpec spec;
        if (root.kind == YamlNode::Kind::null) {
            return fail(ErrorKind::invalid_input, "{} is empty.", m_file_name);
        }
        if (root.kind != YamlNode::Kind::mapping) {
            return at(root, "a machine's description is a list of 'key: value' lines");
        }
        return check_format(root)
            .and_then([&] { return read_machine(root, spec); })
            .and_then([&] { return read_items(root, "disks", disk_fields(), spec.disks); })
            .and_then([&] { return read_items(root, "cds", cd_fields(), spec.cds); })
            .and_then([&] { return read_items(root, "networks", network_fields(), spec.networks); })
            .and_then([&] { return read_items(root, "modules", module_fields(), spec.modules); })
            .and_then([&] { return check_whole(root, spec); })
            .map([&] { return std::move(spec); });
    }

  private:
    template <typename Place>
    tl::unexpected<Error> at(const Place& place, std::string_view what) const {
        const std::string_view stop = what.ends_with('.') ? "" : ".";
        return fail(ErrorKind::invalid_input, "{} line {}, column {}: {}{}", m_file_name, place.line, place.column, what,
                    stop);
    }

    // Older formats would be brought up to date here; there is only format 1 yet, and a file written by hand may
    // leave the number out.
    Status check_format(const YamlNode& root) const {
        const YamlNode* node = root.find("format");
        if (node == nullptr) {
            return {};
        }
        uint32_t format = 0;
        const char* const end_of_text = node->text.data() + node->text.size();
        const auto [end, error] = std::from_chars(node->text.data(), end_of_text, format);
        if (node->text.empty() || error != std::errc{} || end != end_of_text || format == 0) {
            return at(*node, "Format must be a number");
        }
        if (format > k_spec_format) {
            return fail(ErrorKind::unsupported,
                        "{} line {}, column {}: this machine was made by a newer Skep (format {}, this program knows {}). "
                        "Update Skep to use it; nothing was changed.",
                        m_file_name, node->line, node->column, format, k_spec_format);
        }
        return {};
    }

    template <typename Owner>
    Status read_field(const YamlNode& node, const Field<Owner>& field, Owner& owner) const {
        if (node.kind == YamlNode::Kind::mapping) {
            return at(node, fmt::format("{} must be one value, not a group of keys", field.about.label));
        }
        if (node.kind == YamlNode::Kind::sequence) {
            std::vector<std::string> items;
            for (const YamlNode& item : node.items) {
                if (item.kind != YamlNode::Kind::scalar) {
                    return at(item, fmt::format("{} must be a list of words", field.about.label));
                }
                items.push_back(item.text);
            }
            return placed(node, assign_list(field, owner, std::move(items)));
        }
        return placed(node, assign_text(field, owner, node.text));
    }

    Status placed(const YamlNode& node, Status status) const {
        return status ? std::move(status) : Status(at(node, status.error().message));
    }

    // Fields whose key has no dot are at the top; those of "cpu.*" are in the mapping cpu.
    Status read_machine(const YamlNode& root, VmSpec& spec) const {
        for (const auto& [key, value] : root.entries) {
            if (key.text == "disks" || key.text == "cds" || key.text == "networks" || key.text == "modules") {
                continue;
            }
            if (UnknownKeys* unknown = group(spec, key.text)) {
                if (Status status = read_group(key.text, value, *unknown, spec); !status) {
                    return status;
                }
                continue;
            }
            if (Status status = read_entry(key.text, value, machine_fields(), spec, spec.unknown, key.text); !status) {
                return status;
            }
        }
        return {};
    }

    static UnknownKeys* group(VmSpec& spec, std::string_view key) {
        if (key == "cpu") {
            return &spec.unknown_cpu;
        }
        if (key == "serial") {
            return &spec.unknown_serial;
        }
        if (key == "usb") {
            return &spec.unknown_usb;
        }
        if (key == "install") {
            return &spec.unknown_install;
        }
        return key == "debug" ? &spec.unknown_debug : nullptr;
    }

    Status read_group(const std::string& name, const YamlNode& node, UnknownKeys& unknown, VmSpec& spec) const {
        if (node.kind == YamlNode::Kind::null) {
            return {};
        }
        if (node.kind != YamlNode::Kind::mapping) {
            return at(node, fmt::format("'{}' must hold keys of its own, each on its own indented line", name));
        }
        for (const auto& [key, value] : node.entries) {
            const std::string path = fmt::format("{}.{}", name, key.text);
            if (Status status = read_entry(path, value, machine_fields(), spec, unknown, key.text); !status) {
                return status;
            }
        }
        return {};
    }

    template <typename Owner>
    Status read_entry(std::string_view path, const YamlNode& value, std::span<const Field<Owner>> fields, Owner& owner,
                      UnknownKeys& unknown, const std::string& unknown_name) const {
        for (const Field<Owner>& field : fields) {
            if (field.key() == path) {
                return read_field(value, field, owner);
            }
        }
        unknown.emplace_back(unknown_name, print_flow(value));
        return {};
    }

    template <typename Item>
    Status read_items(const YamlNode& root, std::string_view name, std::span<const Field<Item>> fields,
                      std::vector<Item>& items) const {
        const YamlNode* list = root.find(name);
        if (list == nullptr || list->kind == YamlNode::Kind::null) {
            return {};
        }
        if (list->kind != YamlNode::Kind::sequence || list->items.size() > k_max_items) {
            return at(*list, fmt::format("'{}' must be a list of at most {} entries", name, k_max_items));
        }
        for (const YamlNode& node : list->items) {
            if (node.kind != YamlNode::Kind::mapping) {
                return at(node, fmt::format("an entry of '{}' must hold 'key: value' lines", name));
            }
            Item item;
            for (const auto& [key, value] : node.entries) {
                if (Status status = read_entry(key.text, value, fields, item, item.unknown, key.text); !status) {
                    return status;
                }
            }
            for (const Field<Item>& field : fields) {
                if (field.about.minimum > 0 && node.find(field.key()) == nullptr) {
                    return at(node, fmt::format("an entry of '{}' needs '{}'", name, field.key()));
                }
            }
            items.push_back(std::move(item));
        }
        return {};
    }

    // Rules that concern more than one field, at the place of the field they complain about.
    Status check_whole(const YamlNode& root, VmSpec& spec) const {
        for (const SpecProblem& problem : validate(spec, HostFacts{})) {
            if (problem.severity == Severity::error) {
                const YamlNode* node = find_node(root, problem.path);
                return at(node == nullptr ? root : *node, problem.message);
            }
        }
        return {};
    }

  public:
    // The node of a concrete path; null when it is absent.
    static const YamlNode* find_node(const YamlNode& root, std::string_view path) {
        const YamlNode* node = &root;
        while (!path.empty() && node != nullptr) {
            const size_t end = std::min(path.find_first_of(".["), path.size());
            const std::string_view word = path.substr(0, end);
            const bool index = path.size() > end && path[end] == '[';
            path.remove_prefix(std::min(end + 1, path.size()));
            node = node->kind == YamlNode::Kind::sequence ? find_item(*node, word) : node->find(word);
            if (index && node != nullptr) {
                const size_t close = std::min(path.find(']'), path.size());
                node = find_item(*node, path.substr(0, close));
                path.remove_prefix(std::min(close + 2, path.size()));
            }
        }
        return node;
    }

  private:
    // By id, or by number.
    static const YamlNode* find_item(const YamlNode& list, std::string_view word) {
        for (const YamlNode& item : list.items) {
            const YamlNode* id = item.find("id");
            if (id != nullptr && id->text == word) {
                return &item;
            }
        }
        size_t index = list.items.size();
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
        const bool good = error == std::errc{} && end == word.data() + word.size() && index < list.items.size();
        return good ? &list.items[index] : nullptr;
    }

    std::string_view m_file_name;
};

}  // namespace

Result<VmSpec> parse_spec(std::string_view text, std::string_view file_name) {
    if (text.size() > k_max_spec_bytes) {
        return fail(ErrorKind::invalid_input, "{} is too large for a machine's description ({}, at most {}).", file_name,
                    describe_size(text.size()), describe_size(k_max_spec_bytes));
    }
    return parse_yaml(text, file_name).and_then([&](const YamlNode& root) { return Reader(file_name).read(root); });
}

TextPosition locate_field(std::string_view text, std::string_view path) {
    if (text.size() > k_max_spec_bytes) {
        return {};
    }
    const Result<YamlNode> root = parse_yaml(text, "");
    const YamlNode* node = root ? Reader::find_node(*root, path) : nullptr;
    return node == nullptr ? TextPosition{} : TextPosition{node->line, node->column};
}

}  // namespace skep
