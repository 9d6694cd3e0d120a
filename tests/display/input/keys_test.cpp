// SPDX-License-Identifier: GPL-3.0-or-later
// Every key of the table in every world, checked against lists written down by their own documents.
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <set>

#include "display/input/key_names.hpp"
#include "display/input/key_table.hpp"
#include "display/input/keysyms.hpp"
#include "display/input/scan_codes.hpp"

namespace skep::test {
namespace {

using Bytes = std::vector<unsigned>;

Bytes set1(KeyCode key, bool down) {
    const Set1Bytes bytes = set1_of_key(key, down);
    return {bytes.span().begin(), bytes.span().end()};
}

// The keys of a 105-key (ISO) keyboard, from top left to bottom right.
constexpr KeyCode k_105_keys[] = {
    KEY_ESC, KEY_F1, KEY_F2, KEY_F3, KEY_F4, KEY_F5, KEY_F6, KEY_F7, KEY_F8, KEY_F9, KEY_F10, KEY_F11, KEY_F12,
    KEY_SYSRQ, KEY_SCROLLLOCK, KEY_PAUSE,
    KEY_GRAVE, KEY_1, KEY_2, KEY_3, KEY_4, KEY_5, KEY_6, KEY_7, KEY_8, KEY_9, KEY_0, KEY_MINUS, KEY_EQUAL, KEY_BACKSPACE,
    KEY_INSERT, KEY_HOME, KEY_PAGEUP, KEY_NUMLOCK, KEY_KPSLASH, KEY_KPASTERISK, KEY_KPMINUS,
    KEY_TAB, KEY_Q, KEY_W, KEY_E, KEY_R, KEY_T, KEY_Y, KEY_U, KEY_I, KEY_O, KEY_P, KEY_LEFTBRACE, KEY_RIGHTBRACE, KEY_ENTER,
    KEY_DELETE, KEY_END, KEY_PAGEDOWN, KEY_KP7, KEY_KP8, KEY_KP9, KEY_KPPLUS,
    KEY_CAPSLOCK, KEY_A, KEY_S, KEY_D, KEY_F, KEY_G, KEY_H, KEY_J, KEY_K, KEY_L, KEY_SEMICOLON, KEY_APOSTROPHE, KEY_BACKSLASH,
    KEY_KP4, KEY_KP5, KEY_KP6,
    KEY_LEFTSHIFT, KEY_102ND, KEY_Z, KEY_X, KEY_C, KEY_V, KEY_B, KEY_N, KEY_M, KEY_COMMA, KEY_DOT, KEY_SLASH, KEY_RIGHTSHIFT,
    KEY_UP, KEY_KP1, KEY_KP2, KEY_KP3, KEY_KPENTER,
    KEY_LEFTCTRL, KEY_LEFTMETA, KEY_LEFTALT, KEY_SPACE, KEY_RIGHTALT, KEY_RIGHTMETA, KEY_COMPOSE, KEY_RIGHTCTRL,
    KEY_LEFT, KEY_DOWN, KEY_RIGHT, KEY_KP0, KEY_KPDOT,
};
static_assert(std::size(k_105_keys) == 105);

TEST(Keys, all_105_keys_have_scan_code_usage_and_name) {
    for (const KeyCode key : k_105_keys) {
        const KeyFacts* const facts = find_key(key);
        ASSERT_NE(facts, nullptr) << key;
        EXPECT_NE(facts->set1, 0) << facts->name;
        EXPECT_NE(facts->usage, 0) << facts->name;
    }
}

TEST(Keys, no_two_keys_share_anything) {
    std::set<unsigned> codes;
    std::set<unsigned> scans;
    std::set<unsigned> usages;
    std::set<std::string_view> names;
    for (const KeyFacts& facts : key_table()) {
        EXPECT_TRUE(codes.insert(facts.key).second) << facts.name;
        EXPECT_TRUE(scans.insert(facts.set1).second) << facts.name;
        EXPECT_TRUE(usages.insert(facts.usage).second) << facts.name;
        EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
    }
}

// The keyboard drivers of Linux number the keys of the XT by their scan codes.
TEST(Keys, codes_up_to_f12_are_the_scan_codes_of_the_xt) {
    for (KeyCode key = KEY_ESC; key <= KEY_F12; ++key) {
        if (key != 84 && key != 85) {
            EXPECT_EQ(set1(key, true), (Bytes{key}));
            EXPECT_EQ(set1(key, false), (Bytes{key | 0x80U}));
        }
    }
}

TEST(Keys, grey_keys_have_the_prefix) {
    const std::pair<KeyCode, unsigned> grey[] = {
        {KEY_KPENTER, 0x1c}, {KEY_RIGHTCTRL, 0x1d}, {KEY_KPSLASH, 0x35}, {KEY_SYSRQ, 0x37},    {KEY_RIGHTALT, 0x38},
        {KEY_HOME, 0x47},    {KEY_UP, 0x48},        {KEY_PAGEUP, 0x49},  {KEY_LEFT, 0x4b},     {KEY_RIGHT, 0x4d},
        {KEY_END, 0x4f},     {KEY_DOWN, 0x50},      {KEY_PAGEDOWN, 0x51}, {KEY_INSERT, 0x52},  {KEY_DELETE, 0x53},
        {KEY_LEFTMETA, 0x5b}, {KEY_RIGHTMETA, 0x5c}, {KEY_COMPOSE, 0x5d}};
    for (const auto& [key, code] : grey) {
        EXPECT_EQ(set1(key, true), (Bytes{0xe0, code})) << key;
        EXPECT_EQ(set1(key, false), (Bytes{0xe0, code | 0x80})) << key;
        EXPECT_EQ(key_of_set1(static_cast<uint16_t>(0xe000 | code)), key);
    }
}

TEST(Keys, pause_is_one_sequence_and_nothing_on_release) {
    EXPECT_EQ(set1(KEY_PAUSE, true), (Bytes{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}));
    EXPECT_EQ(set1(KEY_PAUSE, false), Bytes{});
}

TEST(Keys, scan_codes_lead_back_to_their_keys) {
    for (const KeyFacts& facts : key_table()) {
        EXPECT_EQ(key_of_qemu_code(qemu_code_of_key(facts.key)), facts.key) << facts.name;
        EXPECT_EQ(key_of_hid_usage(hid_usage_of_key(facts.key)), facts.key) << facts.name;
        if (facts.key != KEY_PAUSE) {
            EXPECT_EQ(key_of_set1(facts.set1), facts.key) << facts.name;
        }
    }
}

TEST(Keys, viewers_name_print_and_pause_in_two_ways) {
    EXPECT_EQ(key_of_qemu_code(0x54), KEY_SYSRQ);
    EXPECT_EQ(key_of_qemu_code(0xb7), KEY_SYSRQ);
    EXPECT_EQ(key_of_qemu_code(0xc6), KEY_PAUSE);
    EXPECT_EQ(qemu_code_of_key(KEY_RIGHTCTRL), 0x9dU);
}

TEST(Keys, unknown_codes_are_no_key) {
    EXPECT_EQ(key_of_set1(0), k_no_key);
    EXPECT_EQ(key_of_set1(0x80), k_no_key);
    EXPECT_EQ(key_of_set1(0xe080), k_no_key);
    EXPECT_EQ(key_of_set1(0xffff), k_no_key);
    EXPECT_EQ(key_of_qemu_code(0x1e1e), k_no_key);
    EXPECT_EQ(key_of_qemu_code(0xffffffff), k_no_key);
    EXPECT_EQ(set1(84, true), Bytes{});
    EXPECT_EQ(qemu_code_of_key(255), 0U);
    EXPECT_EQ(hid_usage_of_key(255), 0);
    EXPECT_EQ(key_of_hid_usage(0), k_no_key);
    EXPECT_EQ(key_of_hid_usage(0x1e1e), k_no_key);
}

TEST(Keys, usages_follow_the_hid_table) {
    for (unsigned letter = 0; letter < 26; ++letter) {
        const auto stroke = stroke_of_keysym('a' + letter);
        EXPECT_EQ(hid_usage_of_key(stroke->key), 4 + letter);
    }
    for (KeyCode key = KEY_F1; key <= KEY_F10; ++key) {
        EXPECT_EQ(hid_usage_of_key(key), 0x3a + (key - KEY_F1));
    }
    const KeyCode modifiers[] = {KEY_LEFTCTRL,  KEY_LEFTSHIFT,  KEY_LEFTALT,  KEY_LEFTMETA,
                                 KEY_RIGHTCTRL, KEY_RIGHTSHIFT, KEY_RIGHTALT, KEY_RIGHTMETA};
    for (unsigned bit = 0; bit < 8; ++bit) {
        EXPECT_EQ(hid_usage_of_key(modifiers[bit]), 0xe0 + bit);
    }
    EXPECT_EQ(hid_usage_of_key(KEY_SYSRQ), 0x46);
    EXPECT_EQ(hid_usage_of_key(KEY_PAUSE), 0x48);
    EXPECT_EQ(hid_usage_of_key(KEY_KPENTER), 0x58);
    EXPECT_EQ(hid_usage_of_key(KEY_102ND), 0x64);
}

TEST(Chord, names_of_several_worlds_are_keys) {
    EXPECT_EQ(*parse_chord("ctrl-alt-delete"), (std::vector<KeyCode>{KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE}));
    EXPECT_EQ(*parse_chord("ret"), (std::vector<KeyCode>{KEY_ENTER}));
    EXPECT_EQ(*parse_chord("Ctrl-Alt-F2"), (std::vector<KeyCode>{KEY_LEFTCTRL, KEY_LEFTALT, KEY_F2}));
    EXPECT_EQ(*parse_chord("kp_add"), (std::vector<KeyCode>{KEY_KPPLUS}));
    EXPECT_EQ(*parse_chord("alt-sysrq-b"), (std::vector<KeyCode>{KEY_LEFTALT, KEY_SYSRQ, KEY_B}));
    EXPECT_EQ(*parse_chord("ctrl-0x2d"), (std::vector<KeyCode>{KEY_LEFTCTRL, KEY_X}));
    EXPECT_EQ(*parse_chord("0xc8"), (std::vector<KeyCode>{KEY_UP}));
    EXPECT_EQ(*parse_chord(";"), (std::vector<KeyCode>{KEY_SEMICOLON}));
    EXPECT_EQ(*parse_chord("-"), (std::vector<KeyCode>{KEY_MINUS}));
    EXPECT_EQ(*parse_chord("ctrl--"), (std::vector<KeyCode>{KEY_LEFTCTRL, KEY_MINUS}));
    for (const KeyFacts& facts : key_table()) {
        EXPECT_EQ(*parse_chord(facts.name), (std::vector<KeyCode>{facts.key}));
    }
}

TEST(Chord, nonsense_is_refused_by_name) {
    EXPECT_FALSE(parse_chord(""));
    EXPECT_FALSE(parse_chord("ctrl-"));
    EXPECT_FALSE(parse_chord("?"));
    EXPECT_FALSE(parse_chord("0xzz"));
    EXPECT_FALSE(parse_chord("0x"));
    EXPECT_FALSE(parse_chord("a-b-c-d-e-f-g-h-i"));
    const auto wrong = parse_chord("ctrl-nokey");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, ErrorKind::invalid_input);
    EXPECT_NE(wrong.error().message.find("'nokey'"), std::string::npos);
}

TEST(Symbols, ascii_is_on_a_us_keyboard) {
    EXPECT_EQ(*stroke_of_keysym('a'), (KeyStroke{KEY_A, false}));
    EXPECT_EQ(*stroke_of_keysym('A'), (KeyStroke{KEY_A, true}));
    EXPECT_EQ(*stroke_of_keysym('('), (KeyStroke{KEY_9, true}));
    EXPECT_EQ(*stroke_of_keysym('|'), (KeyStroke{KEY_BACKSLASH, true}));
    EXPECT_EQ(*stroke_of_keysym('~'), (KeyStroke{KEY_GRAVE, true}));
    EXPECT_EQ(*stroke_of_keysym('"'), (KeyStroke{KEY_APOSTROPHE, true}));
    EXPECT_EQ(*stroke_of_keysym(0x01000041), (KeyStroke{KEY_A, true}));
    std::set<std::pair<KeyCode, bool>> strokes;
    for (uint32_t character = 0x20; character < 0x7f; ++character) {
        const auto stroke = stroke_of_keysym(character);
        ASSERT_TRUE(stroke) << character;
        EXPECT_TRUE(strokes.insert({stroke->key, stroke->shift}).second) << character;
    }
}

TEST(Symbols, function_keys_and_strangers) {
    EXPECT_EQ(*stroke_of_keysym(0xffbe), (KeyStroke{KEY_F1, false}));
    EXPECT_EQ(*stroke_of_keysym(0xffc9), (KeyStroke{KEY_F12, false}));
    EXPECT_EQ(*stroke_of_keysym(0xffff), (KeyStroke{KEY_DELETE, false}));
    EXPECT_EQ(*stroke_of_keysym(0xfe03), (KeyStroke{KEY_RIGHTALT, false}));
    EXPECT_FALSE(stroke_of_keysym(0xe9));
    EXPECT_FALSE(stroke_of_keysym(0));
    EXPECT_FALSE(stroke_of_keysym(0x010020ac));
    EXPECT_FALSE(stroke_of_keysym(0xffffffff));
}

TEST(Text, becomes_strokes) {
    EXPECT_EQ(*strokes_of_text("Hi\n"),
              (std::vector<KeyStroke>{{KEY_H, true}, {KEY_I, false}, {KEY_ENTER, false}}));
    EXPECT_TRUE(strokes_of_text("")->empty());
}

TEST(Text, what_no_key_types_is_refused_by_name) {
    EXPECT_NE(strokes_of_text("caf\xc3\xa9").error().message.find("'\xc3\xa9' (U+00E9)"), std::string::npos);
    EXPECT_NE(strokes_of_text("\x01").error().message.find("control character"), std::string::npos);
    EXPECT_NE(strokes_of_text("ab\xff").error().message.find("byte 2"), std::string::npos);
    EXPECT_FALSE(strokes_of_text("\xc3"));
    EXPECT_FALSE(strokes_of_text("\xe2\x82"));
    EXPECT_FALSE(strokes_of_text(std::string_view("\0", 1)));
}

}  // namespace
}  // namespace skep::test
