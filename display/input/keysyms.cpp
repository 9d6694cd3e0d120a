// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/input/keysyms.hpp"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <array>

namespace skep {
namespace {

// The keys with characters on them, and what is printed below and above.
struct Row {
    KeyCode first;
    std::string_view plain;
    std::string_view shifted;
};
constexpr Row k_rows[] = {
    {KEY_1, "1234567890-=", "!@#$%^&*()_+"},
    {KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
    {KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
    {KEY_SPACE, " ", ""},
};

struct Symbol {
    uint32_t keysym;
    KeyCode key;
};
constexpr Symbol k_symbols[] = {
    {0xff08, KEY_BACKSPACE}, {0xff09, KEY_TAB},       {0xff0a, KEY_ENTER},     {0xff0d, KEY_ENTER},
    {0xff13, KEY_PAUSE},     {0xff14, KEY_SCROLLLOCK}, {0xff15, KEY_SYSRQ},    {0xff1b, KEY_ESC},
    {0xff50, KEY_HOME},      {0xff51, KEY_LEFT},      {0xff52, KEY_UP},        {0xff53, KEY_RIGHT},
    {0xff54, KEY_DOWN},      {0xff55, KEY_PAGEUP},    {0xff56, KEY_PAGEDOWN},  {0xff57, KEY_END},
    {0xff61, KEY_SYSRQ},     {0xff63, KEY_INSERT},    {0xff67, KEY_COMPOSE},   {0xff6b, KEY_PAUSE},
    {0xff7f, KEY_NUMLOCK},   {0xff8d, KEY_KPENTER},   {0xff95, KEY_KP7},       {0xff96, KEY_KP4},
    {0xff97, KEY_KP8},       {0xff98, KEY_KP6},       {0xff99, KEY_KP2},       {0xff9a, KEY_KP9},
    {0xff9b, KEY_KP3},       {0xff9c, KEY_KP1},       {0xff9d, KEY_KP5},       {0xff9e, KEY_KP0},
    {0xff9f, KEY_KPDOT},     {0xffaa, KEY_KPASTERISK}, {0xffab, KEY_KPPLUS},   {0xffac, KEY_KPCOMMA},
    {0xffad, KEY_KPMINUS},   {0xffae, KEY_KPDOT},     {0xffaf, KEY_KPSLASH},   {0xffb0, KEY_KP0},
    {0xffb1, KEY_KP1},       {0xffb2, KEY_KP2},       {0xffb3, KEY_KP3},       {0xffb4, KEY_KP4},
    {0xffb5, KEY_KP5},       {0xffb6, KEY_KP6},       {0xffb7, KEY_KP7},       {0xffb8, KEY_KP8},
    {0xffb9, KEY_KP9},       {0xffbe, KEY_F1},        {0xffbf, KEY_F2},        {0xffc0, KEY_F3},
    {0xffc1, KEY_F4},        {0xffc2, KEY_F5},        {0xffc3, KEY_F6},        {0xffc4, KEY_F7},
    {0xffc5, KEY_F8},        {0xffc6, KEY_F9},        {0xffc7, KEY_F10},       {0xffc8, KEY_F11},
    {0xffc9, KEY_F12},       {0xffe1, KEY_LEFTSHIFT}, {0xffe2, KEY_RIGHTSHIFT}, {0xffe3, KEY_LEFTCTRL},
    {0xffe4, KEY_RIGHTCTRL}, {0xffe5, KEY_CAPSLOCK},  {0xffe7, KEY_LEFTMETA},  {0xffe8, KEY_RIGHTMETA},
    {0xffe9, KEY_LEFTALT},   {0xffea, KEY_RIGHTALT},  {0xffeb, KEY_LEFTMETA},  {0xffec, KEY_RIGHTMETA},
    {0xffff, KEY_DELETE},
};
static_assert(std::ranges::is_sorted(k_symbols, {}, &Symbol::keysym), "stroke_of_keysym() divides");

constexpr uint32_t k_shift_tab = 0xfe20;  // ISO_Left_Tab
constexpr uint32_t k_altgr = 0xfe03;      // ISO_Level3_Shift
constexpr uint32_t k_unicode = 0x01000000;

std::optional<KeyStroke> stroke_of_ascii(char character) {
    for (const Row& row : k_rows) {
        for (const bool shift : {false, true}) {
            const size_t at = (shift ? row.shifted : row.plain).find(character);
            if (at != std::string_view::npos) {
                return KeyStroke{static_cast<KeyCode>(row.first + at), shift};
            }
        }
    }
    return std::nullopt;
}

// The first character of a UTF-8 text, which is cut off; nothing when it is none.
std::optional<uint32_t> take_character(std::string_view& utf8) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(utf8[at]); };
    const uint8_t lead = byte(0);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (length > utf8.size() || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4) {
        return std::nullopt;
    }
    uint32_t character = length == 1 ? lead : lead & (0x7fU >> length);
    for (size_t at = 1; at < length; ++at) {
        if ((byte(at) & 0xc0) != 0x80) {
            return std::nullopt;
        }
        character = character << 6 | (byte(at) & 0x3fU);
    }
    utf8.remove_prefix(length);
    return character;
}

std::optional<KeyStroke> stroke_of_character(uint32_t character) {
    switch (character) {
        case '\n':
        case '\r': return KeyStroke{KEY_ENTER, false};
        case '\t': return KeyStroke{KEY_TAB, false};
        default: return character < 0x80 ? stroke_of_ascii(static_cast<char>(character)) : std::nullopt;
    }
}

}  // namespace

bool is_character(uint32_t keysym) {
    return (keysym >= 0x20 && keysym <= 0xff) || (keysym >= k_unicode + 0x20 && keysym < k_unicode + 0x110000);
}

std::optional<KeyStroke> stroke_of_keysym(uint32_t keysym) {
    if (is_character(keysym)) {
        const uint32_t character = keysym >= k_unicode ? keysym - k_unicode : keysym;
        return character < 0x7f ? stroke_of_ascii(static_cast<char>(character)) : std::nullopt;
    }
    if (keysym == k_shift_tab) {
        return KeyStroke{KEY_TAB, false};  // the viewer holds its shift key already
    }
    if (keysym == k_altgr) {
        return KeyStroke{KEY_RIGHTALT, false};
    }
    const auto* const found = std::ranges::lower_bound(k_symbols, keysym, {}, &Symbol::keysym);
    if (found == std::end(k_symbols) || found->keysym != keysym) {
        return std::nullopt;
    }
    return KeyStroke{found->key, false};
}

Result<std::vector<KeyStroke>> strokes_of_text(std::string_view utf8) {
    std::vector<KeyStroke> strokes;
    for (std::string_view left = utf8; !left.empty();) {
        const std::string_view before = left;
        const auto character = take_character(left);
        if (!character) {
            return fail(ErrorKind::invalid_input, "The text is not UTF-8 (byte {}).", before.data() - utf8.data());
        }
        const auto stroke = stroke_of_character(*character);
        if (!stroke) {
            const bool shown = *character >= 0x20 && *character != 0x7f;
            return fail(ErrorKind::invalid_input, "A US keyboard has no key for {} (U+{:04X}).",
                        shown ? fmt::format("'{}'", before.substr(0, before.size() - left.size())) : "a control character",
                        *character);
        }
        strokes.push_back(*stroke);
    }
    return strokes;
}

}  // namespace skep
