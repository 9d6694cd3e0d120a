// SPDX-License-Identifier: GPL-3.0-or-later
// Field values to and from text, with the checks that the descriptors ask for.
#include <algorithm>
#include <charconv>

#include "vmm/spec/field_table.hpp"

namespace skep {
namespace {

constexpr uint64_t k_mib = 1024 * 1024;

tl::unexpected<Error> bad(const FieldDescriptor& about, const std::string& what) {
    return fail(ErrorKind::invalid_input, "{} {}.", about.label, what);
}

Result<bool> parse_boolean(const FieldDescriptor& about, std::string_view text) {
    for (const std::string_view word : {"true", "yes", "on", "1"}) {
        if (text == word) {
            return true;
        }
    }
    for (const std::string_view word : {"false", "no", "off", "0"}) {
        if (text == word) {
            return false;
        }
    }
    return bad(about, fmt::format("must be true or false, not '{}'", text));
}

Result<uint64_t> parse_integer(const FieldDescriptor& about, std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return bad(about, fmt::format("must be a whole number between {} and {}, not '{}'", about.minimum, about.maximum, text));
    }
    if (value < about.minimum || value > about.maximum) {
        return bad(about, fmt::format("must be between {} and {}, not {}", about.minimum, about.maximum, value));
    }
    return value;
}

Result<uint64_t> parse_mib(const FieldDescriptor& about, std::string_view text) {
    const Result<uint64_t> bytes = parse_size(text, k_mib);
    if (!bytes) {
        return bad(about, fmt::format("must be a size such as 512M or 2G, not '{}'", text));
    }
    if (*bytes % k_mib != 0 || *bytes / k_mib < about.minimum || *bytes / k_mib > about.maximum) {
        return bad(about, fmt::format("must be between {} and {}, in whole MiB, not {}", describe_size(about.minimum * k_mib),
                                      describe_size(about.maximum * k_mib), describe_size(*bytes)));
    }
    return *bytes / k_mib;
}

bool is_control(char character) {
    const auto byte = static_cast<unsigned char>(character);
    return byte < 0x20 || byte == 0x7f;
}

Status check_text(const FieldDescriptor& about, std::string_view text) {
    if (text.size() < about.minimum) {
        return bad(about, "must not be empty");
    }
    if (text.size() > about.maximum) {
        return bad(about, fmt::format("must not be longer than {} bytes", about.maximum));
    }
    const bool multi_line = about.type == FieldType::long_text;
    const bool strange = std::any_of(text.begin(), text.end(), [&](char character) {
        return is_control(character) && !(multi_line && (character == '\n' || character == '\t'));
    });
    if (strange) {
        return bad(about, multi_line ? "must not hold control characters" : "must be one line without control characters");
    }
    return {};
}

Result<size_t> parse_choice(const FieldDescriptor& about, std::string_view text) {
    const auto found = std::find(about.choices.begin(), about.choices.end(), text);
    if (found != about.choices.end()) {
        return static_cast<size_t>(found - about.choices.begin());
    }
    std::string words;
    for (const std::string_view word : about.choices) {
        words += fmt::format("{}{}", words.empty() ? "" : word == about.choices.back() ? " or " : ", ", word);
    }
    return bad(about, fmt::format("must be {}, not '{}'", words, text));
}

std::vector<std::string> split_commas(std::string_view text) {
    std::vector<std::string> items;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        std::string_view item = text.substr(0, comma);
        while (item.starts_with(' ')) {
            item.remove_prefix(1);
        }
        while (item.ends_with(' ')) {
            item.remove_suffix(1);
        }
        items.emplace_back(item);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return items;
}

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

template <typename Owner>
std::string value_text(const Field<Owner>& field, const Owner& owner) {
    return std::visit(
        Overloaded{
            [&](std::string Owner::*member) { return owner.*member; },
            [&](bool Owner::*member) { return std::string(owner.*member ? "true" : "false"); },
            [&](uint32_t Owner::*member) { return fmt::format("{}", owner.*member); },
            [&](uint64_t Owner::*member) {
                return field.about.type == FieldType::size_mib ? print_size(owner.*member * k_mib)
                                                               : fmt::format("{}", owner.*member);
            },
            [&](std::vector<std::string> Owner::*member) { return fmt::format("{}", fmt::join(owner.*member, ",")); },
            [&](const ChoiceAccess<Owner>& choice) { return std::string(field.about.choices[choice.get(owner)]); },
        },
        field.access);
}

template <typename Owner>
Status assign_list(const Field<Owner>& field, Owner& owner, std::vector<std::string> items) {
    const auto* member = std::get_if<std::vector<std::string> Owner::*>(&field.access);
    if (member == nullptr) {
        return bad(field.about, "must be one value, not a list");
    }
    if (items.size() > field.about.maximum) {
        return bad(field.about, fmt::format("must not have more than {} entries", field.about.maximum));
    }
    for (const std::string& item : items) {
        if (item.empty() || item.size() > 64 || std::any_of(item.begin(), item.end(), is_control)) {
            return bad(field.about, "must be a list of names");
        }
    }
    owner.*(*member) = std::move(items);
    return {};
}

template <typename Owner>
Status assign_text(const Field<Owner>& field, Owner& owner, std::string_view text) {
    const FieldDescriptor& about = field.about;
    return std::visit(
        Overloaded{
            [&](std::string Owner::*member) {
                return check_text(about, text).map([&] { owner.*member = std::string(text); });
            },
            [&](bool Owner::*member) { return parse_boolean(about, text).map([&](bool value) { owner.*member = value; }); },
            [&](uint32_t Owner::*member) {
                return parse_integer(about, text).map([&](uint64_t value) {
                    owner.*member = static_cast<uint32_t>(value);
                });
            },
            [&](uint64_t Owner::*member) {
                const auto value = about.type == FieldType::size_mib ? parse_mib(about, text) : parse_integer(about, text);
                return value.map([&](uint64_t number) { owner.*member = number; });
            },
            [&](std::vector<std::string> Owner::*) { return assign_list(field, owner, split_commas(text)); },
            [&](const ChoiceAccess<Owner>& choice) {
                return parse_choice(about, text).map([&](size_t index) { choice.set(owner, index); });
            },
        },
        field.access);
}

#define SKEP_INSTANTIATE(Owner)                                                                   \
    template std::string value_text(const Field<Owner>&, const Owner&);                           \
    template Status assign_text(const Field<Owner>&, Owner&, std::string_view);                   \
    template Status assign_list(const Field<Owner>&, Owner&, std::vector<std::string>);
SKEP_INSTANTIATE(VmSpec)
SKEP_INSTANTIATE(DiskSpec)
SKEP_INSTANTIATE(CdSpec)
SKEP_INSTANTIATE(NetworkSpec)
SKEP_INSTANTIATE(ModuleSpec)
#undef SKEP_INSTANTIATE

}  // namespace skep
