// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/ps2_mouse.hpp"

#include <algorithm>

namespace skep {
namespace {

constexpr int32_t k_movement_limit = 1 << 15;  // a guest that does not look for long need not hear of it all
constexpr size_t k_queued_packets = 16;

int32_t add_clamped(int32_t value, int delta) {
    return static_cast<int32_t>(std::clamp<int64_t>(int64_t{value} + delta, -k_movement_limit, k_movement_limit));
}

}  // namespace

void Ps2Mouse::reset() {
    m_output.clear();
    m_awaiting = 0;
    m_id = 0;
    m_wrap = false;
    m_last_rates = {};
    m_buttons = 0;
    set_defaults();
}

void Ps2Mouse::set_defaults() {
    m_reporting = false;
    m_remote = false;
    m_double_scale = false;
    m_rate = 100;
    m_resolution = 2;
    m_right = 0;
    m_down = 0;
    m_wheel = 0;
    m_sent_buttons = m_buttons;
    m_output.clear_events();
}

void Ps2Mouse::receive(uint8_t byte) {
    if (m_awaiting != 0) {
        argument(byte);
    } else if (m_wrap && byte != 0xec && byte != 0xff) {
        m_output.answer({byte});
    } else {
        command(byte);
    }
}

void Ps2Mouse::command(uint8_t byte) {
    switch (byte) {
        case 0xe6:
            m_double_scale = false;
            break;
        case 0xe7:
            m_double_scale = true;
            break;
        case 0xe8:  // resolution
        case 0xf3:  // sampling rate
            m_awaiting = byte;
            break;
        case 0xe9: {
            const uint8_t swapped =
                static_cast<uint8_t>((m_buttons & 1) << 2 | (m_buttons & 2) >> 1 | (m_buttons & 4) >> 1);
            const auto status = static_cast<uint8_t>((m_remote ? 0x40 : 0) | (m_reporting ? 0x20 : 0) |
                                                     (m_double_scale ? 0x10 : 0) | swapped);
            m_output.answer({k_ack, status, m_resolution, m_rate});
            return;
        }
        case 0xea:
            m_remote = false;
            break;
        case 0xeb: {
            std::array<uint8_t, 4> packet{};
            const size_t count = make_packet(packet);
            m_output.answer({k_ack, packet[0], packet[1], packet[2]});
            if (count == 4) {
                m_output.answer({packet[3]});
            }
            return;
        }
        case 0xec:
            m_wrap = false;
            break;
        case 0xee:
            m_wrap = true;
            break;
        case 0xf0:
            m_remote = true;
            break;
        case 0xf2:
            m_output.answer({k_ack, m_id});
            return;
        case 0xf4:
            m_reporting = true;
            break;
        case 0xf5:
            m_reporting = false;
            break;
        case 0xf6:
            set_defaults();
            break;
        case 0xfe:
            m_output.answer({m_output.last()});
            return;
        case 0xff:
            reset();
            m_output.answer({k_ack, k_self_test_passed, 0x00});
            return;
        default:
            m_output.answer({k_resend});
            return;
    }
    m_output.answer({k_ack});
}

void Ps2Mouse::argument(uint8_t byte) {
    if (m_awaiting == 0xf3) {
        note_rate(byte);
    } else {
        m_resolution = byte & 3;
    }
    m_awaiting = 0;
    m_output.answer({k_ack});
}

void Ps2Mouse::note_rate(uint8_t rate) {
    if (m_last_rates == std::array<uint8_t, 2>{200, 100} && rate == 80) {
        m_id = 3;
    } else if (m_last_rates == std::array<uint8_t, 2>{200, 200} && rate == 80 && m_id >= 3) {
        m_id = 4;
    }
    m_last_rates = {m_last_rates[1], rate};
    m_rate = rate;
}

void Ps2Mouse::move(int right, int down, int wheel, uint8_t buttons) {
    m_right = add_clamped(m_right, right);
    m_down = add_clamped(m_down, down);
    m_wheel = add_clamped(m_wheel, wheel);
    m_buttons = buttons & 0x1f;
    if (m_reporting && !m_remote) {
        send_movement();
    }
}

void Ps2Mouse::send_movement() {
    // A movement beyond one packet takes several; what does not fit waits in the counters.
    while (m_output.waiting_events() < k_queued_packets * 4) {
        const bool wheel = m_id != 0 && m_wheel != 0;
        if (m_right == 0 && m_down == 0 && !wheel && m_buttons == m_sent_buttons) {
            return;
        }
        std::array<uint8_t, 4> packet{};
        const size_t count = make_packet(packet);
        m_output.event(std::span<const uint8_t>(packet).first(count));
    }
}

size_t Ps2Mouse::make_packet(std::array<uint8_t, 4>& packet) {
    const int32_t right = std::clamp(m_right, -255, 255);
    const int32_t up = std::clamp(-m_down, -255, 255);
    const int32_t wheel = std::clamp(m_wheel, -7, 7);
    m_right -= right;
    m_down += up;
    m_wheel = m_id != 0 ? m_wheel - wheel : 0;
    m_sent_buttons = m_buttons;
    packet[0] = static_cast<uint8_t>(0x08 | (m_buttons & 7) | (right < 0 ? 0x10 : 0) | (up < 0 ? 0x20 : 0));
    packet[1] = static_cast<uint8_t>(right);
    packet[2] = static_cast<uint8_t>(up);
    if (m_id == 0) {
        return 3;
    }
    packet[3] = static_cast<uint8_t>(m_id == 4 ? (wheel & 0x0f) | (m_buttons & 0x18) << 1 : wheel);
    return 4;
}

void Ps2Mouse::save(StateWriter& writer) const {
    m_output.save(writer);
    for (const bool flag : {m_reporting, m_remote, m_wrap, m_double_scale}) {
        writer.put(static_cast<uint8_t>(flag));
    }
    for (const uint8_t value :
         {m_id, m_rate, m_resolution, m_awaiting, m_last_rates[0], m_last_rates[1], m_buttons, m_sent_buttons}) {
        writer.put(value);
    }
    for (const int32_t value : {m_right, m_down, m_wheel}) {
        writer.put(value);
    }
}

void Ps2Mouse::load(StateReader& reader) {
    m_output.load(reader);
    for (bool* flag : {&m_reporting, &m_remote, &m_wrap, &m_double_scale}) {
        *flag = reader.get<uint8_t>() != 0;
    }
    for (uint8_t* value : {&m_id, &m_rate, &m_resolution, &m_awaiting, &m_last_rates[0], &m_last_rates[1], &m_buttons,
                           &m_sent_buttons}) {
        reader.get(*value);
    }
    for (int32_t* value : {&m_right, &m_down, &m_wheel}) {
        reader.get(*value);
        *value = std::clamp(*value, -k_movement_limit, k_movement_limit);
    }
    if (m_id != 0 && m_id != 3 && m_id != 4) {
        reader.fail("the mouse has an impossible id");
        reset();
    }
}

}  // namespace skep
