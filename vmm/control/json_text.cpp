// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/json_text.hpp"

namespace skep {
namespace {

constexpr int k_max_depth = 32;  // the library's parser keeps its own stack, its destructor and dump() recurse

}  // namespace

std::optional<Json> parse_json(std::string_view text) {
    bool too_deep = false;
    const auto watch = [&](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > k_max_depth;
        return !too_deep;  // the value is dropped, so that memory stays small
    };
    Json value = Json::parse(text, watch, false);
    if (value.is_discarded() || too_deep) {
        return std::nullopt;
    }
    return value;
}

}  // namespace skep
