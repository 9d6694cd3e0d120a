// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/key_names.hpp"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>

#include "display/input/key_table.hpp"
#include "display/input/keysyms.hpp"
#include "display/input/scan_codes.hpp"

namespace skep {
namespace {

struct Alias {
    std::string_view name;
    KeyCode key;
};
constexpr Alias k_aliases[] = {
    {"escape", KEY_ESC},
    {"enter", KEY_ENTER},
    {"return", KEY_ENTER},
    {"space", KEY_SPACE},
    {"bksp", KEY_BACKSPACE},
    {"del", KEY_DELETE},
    {"ins", KEY_INSERT},
    {"pageup", KEY_PAGEUP},
    {"page_up", KEY_PAGEUP},
    {"pagedown", KEY_PAGEDOWN},
    {"page_down", KEY_PAGEDOWN},
    {"control", KEY_LEFTCTRL},
    {"ctrl_l", KEY_LEFTCTRL},
    {"alt_l", KEY_LEFTALT},
    {"altgr", KEY_RIGHTALT},
    {"shift_l", KEY_LEFTSHIFT},
    {"meta", KEY_LEFTMETA},
    {"super", KEY_LEFTMETA},
    {"win", KEY_LEFTMETA},
    {"capslock", KEY_CAPSLOCK},
    {"numlock", KEY_NUMLOCK},
    {"scrolllock", KEY_SCROLLLOCK},
    {"sysrq", KEY_SYSRQ},
    {"prtsc", KEY_SYSRQ},
    {"compose", KEY_COMPOSE},
    {"asterisk", KEY_KPASTERISK},
    {"audiomute", KEY_MUTE},
};

std::optional<KeyCode> key_by_number(std::string_view text) {
    if (!text.starts_with("0x")) {
        return std::nullopt;
    }
    uint32_t code = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 2, end, code, 16);
    const KeyCode key = error == std::errc{} && stop == end ? key_of_qemu_code(code) : k_no_key;
    return key != k_no_key ? std::optional(key) : std::nullopt;
}

std::optional<KeyCode> key_by_name(std::string_view name) {
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto table = key_table();
    if (const auto found = std::ranges::find(table, lower, &KeyFacts::name); found != table.end()) {
        return found->key;
    }
    if (const auto* const found = std::ranges::find(k_aliases, lower, &Alias::name); found != std::end(k_aliases)) {
        return found->key;
    }
    if (lower.size() == 1) {  // ";" and the like, where no other key must be held for it
        const auto stroke = stroke_of_keysym(static_cast<unsigned char>(lower[0]));
        return stroke && !stroke->shift ? std::optional(stroke->key) : std::nullopt;
    }
    return key_by_number(lower);
}

// Cuts the first name off; a dash that is not between two names is the minus key.
std::string_view take_name(std::string_view& text) {
    const size_t dash = text.find('-', 1);
    const std::string_view name = text.substr(0, dash);
    text = dash == std::string_view::npos ? std::string_view() : text.substr(dash + 1);
    return name;
}

}  // namespace

Result<std::vector<KeyCode>> parse_chord(std::string_view text) {
    if (text.empty() || (text.size() > 1 && text.ends_with('-') && !text.ends_with("--"))) {
        return fail(ErrorKind::invalid_input, "'{}' names no key after its last '-'; write for example ctrl-alt-delete.", text);
    }
    std::vector<KeyCode> keys;
    for (std::string_view left = text; !left.empty();) {
        const std::string_view name = take_name(left);
        const auto key = key_by_name(name);
        if (!key) {
            return fail(ErrorKind::invalid_input, "There is no key '{}' in '{}'; write for example ctrl-alt-delete, ret or f1.",
                        name, text);
        }
        keys.push_back(*key);
    }
    if (keys.size() > k_most_chord_keys) {
        return fail(ErrorKind::invalid_input, "'{}' holds {} keys together; at most {} can be.", text, keys.size(),
                    k_most_chord_keys);
    }
    return keys;
}

}  // namespace skep
