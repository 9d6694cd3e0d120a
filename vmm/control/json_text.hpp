// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/control and app/ctl: JSON with the limits that a hostile peer calls for. Include in .cpp files only.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace skep {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Nothing when the text is not JSON, or is nested too deeply. Never throws.
[[nodiscard]] std::optional<Json> parse_json(std::string_view text);

// One line; bytes that are not UTF-8 are replaced.
template <typename AnyJson>
[[nodiscard]] std::string print_json(const AnyJson& value, int indent = -1) {
    return value.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace skep
