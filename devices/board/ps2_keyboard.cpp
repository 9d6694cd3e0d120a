// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/ps2_keyboard.hpp"

#include <span>

namespace skep {
namespace {

constexpr uint8_t k_release = 0xf0;
constexpr uint8_t k_control = 0x1d, k_print_screen = 0x37, k_alt = 0x38, k_scroll_lock = 0x46, k_sysrq = 0x54;  // set 1
constexpr size_t k_most_before_a_press = 128;  // bytes that wait, of Ps2Output::k_limit

// Set 2 codes 0x00..0x7f in set 1; 0x83 and 0x84 are extra, others from 0x80 up are themselves.
constexpr std::array<uint8_t, 128> k_set2_to_set1{
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,  //
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,  //
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,  //
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,  //
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,  //
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,  //
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,  //
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

// The inverse for make codes of set 1.
constexpr std::array<uint8_t, 128> make_set1_to_set2() {
    std::array<uint8_t, 128> inverse{};
    for (unsigned code = 128; code-- > 1;) {
        inverse[k_set2_to_set1[code] & 0x7f] = static_cast<uint8_t>(code);
    }
    inverse[0x41] = 0x83;  // F7
    inverse[0x54] = 0x84;  // SysRq
    return inverse;
}
constexpr std::array<uint8_t, 128> k_set1_to_set2 = make_set1_to_set2();

// Set 3 make codes by set 1 make code; keys that are the same in set 2 are left 0.
struct Set3Code {
    uint8_t set1;
    uint8_t set3;
};
constexpr Set3Code k_plain_set3[] = {
    {0x01, 0x08}, {0x1d, 0x11}, {0x2b, 0x5c}, {0x37, 0x7e}, {0x38, 0x19}, {0x3a, 0x14}, {0x3b, 0x07}, {0x3c, 0x0f},
    {0x3d, 0x17}, {0x3e, 0x1f}, {0x3f, 0x27}, {0x40, 0x2f}, {0x41, 0x37}, {0x42, 0x3f}, {0x43, 0x47}, {0x44, 0x4f},
    {0x45, 0x76}, {0x46, 0x5f}, {0x4a, 0x84}, {0x4e, 0x7c}, {0x56, 0x13}, {0x57, 0x56}, {0x58, 0x5e},
};
constexpr Set3Code k_extended_set3[] = {
    {0x1c, 0x79}, {0x1d, 0x58}, {0x35, 0x4a}, {0x37, 0x57}, {0x38, 0x39}, {0x47, 0x6e},
    {0x48, 0x63}, {0x49, 0x6f}, {0x4b, 0x61}, {0x4d, 0x6a}, {0x4f, 0x65}, {0x50, 0x60},
    {0x51, 0x6d}, {0x52, 0x67}, {0x53, 0x64}, {0x5b, 0x8b}, {0x5c, 0x8c}, {0x5d, 0x8d},
};

uint8_t set3_of_set1(uint8_t prefix, uint8_t make) {
    const std::span<const Set3Code> table =
        prefix == 0xe0 ? std::span<const Set3Code>(k_extended_set3) : std::span<const Set3Code>(k_plain_set3);
    for (const Set3Code& entry : table) {
        if (entry.set1 == make) {
            return entry.set3;
        }
    }
    return prefix == 0xe0 ? 0 : k_set1_to_set2[make];
}

}  // namespace

uint8_t set1_of_set2(uint8_t code) {
    switch (code) {
        case 0x83:
            return 0x41;
        case 0x84:
            return 0x54;
        default:
            return code < 0x80 ? k_set2_to_set1[code] : code;
    }
}

void Ps2Keyboard::reset() {
    m_output.clear();
    m_awaiting = 0;
    m_prefix = 0;
    m_pause_bytes = 0;
    m_held = 0;
    m_leds = 0;
    set_defaults();
    m_scanning = true;
}

void Ps2Keyboard::set_defaults() {
    m_set = 2;
}

void Ps2Keyboard::receive(uint8_t byte) {
    // Every command byte is >= 0xed, no argument is: a command in an argument's place starts anew.
    if (m_awaiting != 0 && byte < 0xed) {
        argument(byte);
    } else {
        m_awaiting = 0;
        command(byte);
    }
}

void Ps2Keyboard::command(uint8_t byte) {
    switch (byte) {
        case 0xed:  // LEDs
        case 0xf0:  // scan code set
        case 0xf3:  // typematic rate and delay
        case 0xfb:  // types of single keys
        case 0xfc:
        case 0xfd:
            m_awaiting = byte;
            m_output.answer({k_ack});
            break;
        case 0xee:
            m_output.answer({0xee});
            break;
        case 0xf2:
            m_output.answer({k_ack, 0xab, 0x83});
            break;
        case 0xf4:
            m_output.clear_events();
            m_scanning = true;
            m_output.answer({k_ack});
            break;
        case 0xf5:
        case 0xf6:
            m_output.clear_events();
            set_defaults();
            m_scanning = byte == 0xf6;
            m_output.answer({k_ack});
            break;
        case 0xf7:
        case 0xf8:
        case 0xf9:
        case 0xfa:
            m_output.answer({k_ack});
            break;  // types of all keys
        case 0xfe:
            m_output.answer({m_output.last()});
            break;
        case 0xff:
            reset();
            m_output.answer({k_ack, k_self_test_passed});
            break;
        default:
            m_output.answer({k_resend});
    }
}

void Ps2Keyboard::argument(uint8_t byte) {
    const uint8_t to = m_awaiting;
    m_awaiting = 0;
    if (to == 0xf0) {
        if (byte == 0) {
            m_output.answer({k_ack, m_set});
            return;
        }
        if (byte > 3) {
            m_output.answer({k_resend});
            return;
        }
        m_set = byte;
        m_output.clear_events();
    } else if (to == 0xed) {
        m_leds = byte & 7;
    }
    m_output.answer({k_ack});
}

void Ps2Keyboard::type(uint8_t set1) {
    if (set1 == 0xe0 || set1 == 0xe1) {
        m_prefix = set1;
        m_pause_bytes = set1 == 0xe1 ? 2 : 0;
        return;
    }
    const uint8_t prefix = m_prefix;
    if (m_pause_bytes != 0) {
        --m_pause_bytes;
    }
    if (m_pause_bytes == 0) {
        m_prefix = 0;
    }
    note_modifier(prefix, set1);
    if (m_scanning && !send_with_modifier(prefix, set1)) {
        send_key(prefix, set1);
    }
}

void Ps2Keyboard::note_modifier(uint8_t prefix, uint8_t set1) {
    const uint8_t make = set1 & 0x7f;
    if (prefix == 0xe1 || (make != k_control && make != k_alt)) {
        return;
    }
    const bool right = prefix == 0xe0;
    const uint8_t which = make == k_control ? (right ? k_right_control : k_left_control) : (right ? k_right_alt : k_left_alt);
    m_held = static_cast<uint8_t>((set1 & 0x80) != 0 ? m_held & ~which : m_held | which);
}

// Alt+Print Screen and Control+Pause have codes of their own in sets 1 and 2: SysRq and Break of the 84-key keyboard.
bool Ps2Keyboard::send_with_modifier(uint8_t prefix, uint8_t set1) {
    const auto take_form = [this](uint8_t form, uint8_t modifiers) {
        m_held = static_cast<uint8_t>((m_held & modifiers) != 0 ? m_held | form : m_held & ~form);
    };
    if (m_set == 3) {
        return false;
    }
    if (prefix == 0xe0 && (set1 & 0x7f) == k_print_screen) {
        if (set1 == k_print_screen) {
            take_form(k_system_request, k_left_alt | k_right_alt);
        }
        if ((m_held & k_system_request) != 0) {
            send_key(0, static_cast<uint8_t>(k_sysrq | (set1 & 0x80)));
        }
        return (m_held & k_system_request) != 0;
    }
    if (prefix == 0xe1) {
        if (set1 == k_control) {  // the first of Pause's four codes, which then stay away
            take_form(k_break, k_left_control | k_right_control);
        }
        if ((m_held & k_break) != 0 && set1 == k_control) {
            send_key(0xe0, k_scroll_lock);
            send_key(0xe0, k_scroll_lock | 0x80);
        }
        return (m_held & k_break) != 0;
    }
    return false;
}

void Ps2Keyboard::send_key(uint8_t prefix, uint8_t set1) {
    const uint8_t make = set1 & 0x7f;
    const bool released = (set1 & 0x80) != 0;
    std::array<uint8_t, 4> bytes{};
    size_t count = 0;
    const bool first_of_pause = prefix == 0xe1 && make == 0x1d;
    if (m_set == 3) {
        if (prefix == 0xe1) {
            if (released || first_of_pause) {
                return;  // Pause is one code here
            }
            bytes[count++] = 0x62;
        } else if (const uint8_t code = set3_of_set1(prefix, make); code != 0) {
            if (released) {
                bytes[count++] = k_release;
            }
            bytes[count++] = code;
        }
    } else {
        if (prefix == 0xe0 || first_of_pause) {
            bytes[count++] = prefix;
        }
        if (m_set == 1) {
            bytes[count++] = set1;
        } else {
            if (released) {
                bytes[count++] = k_release;
            }
            bytes[count++] = k_set1_to_set2[make];
        }
    }
    // A key held while the guest does not look must not leave no room for its release.
    const bool is_release = released && prefix != 0xe1;
    if (is_release || m_output.waiting_events() < k_most_before_a_press) {
        m_output.event(std::span(bytes).first(count));
    }
}

void Ps2Keyboard::save(StateWriter& writer) const {
    m_output.save(writer);
    writer.put(static_cast<uint8_t>(m_held | (m_scanning ? 1 : 0)));
    for (const uint8_t value : {m_set, m_leds, m_awaiting, m_prefix, m_pause_bytes}) {
        writer.put(value);
    }
}

void Ps2Keyboard::load(StateReader& reader) {
    m_output.load(reader);
    const auto flags = reader.get<uint8_t>();
    m_scanning = (flags & 1) != 0;
    m_held = flags & 0x7e;
    for (uint8_t* value : {&m_set, &m_leds, &m_awaiting, &m_prefix, &m_pause_bytes}) {
        reader.get(*value);
    }
    if (m_set < 1 || m_set > 3 || m_pause_bytes > 2) {
        reader.fail("the keyboard is in an impossible state");
        reset();
    }
}

}  // namespace skep
