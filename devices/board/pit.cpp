// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/pit.hpp"

#include <algorithm>

#include "devices/board/time_scale.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr Nanoseconds k_refresh_half_period = 15'085;  // port 0x61 bit 4

uint32_t from_bcd(uint16_t value) {
    uint32_t result = 0;
    for (unsigned digit = 4; digit-- > 0;) {
        result = result * 10 + std::min<uint32_t>((value >> (digit * 4)) & 0xf, 9);
    }
    return result;
}

uint16_t to_bcd(uint32_t value) {
    uint32_t result = 0;
    for (unsigned digit = 0; digit < 4; ++digit) {
        result |= value % 10 << (digit * 4);
        value /= 10;
    }
    return static_cast<uint16_t>(result);
}

}  // namespace

// --- one channel ---------------------------------------------------------------------------------

void PitChannel::reset() {
    const bool gate = m_gate;
    *this = PitChannel();
    m_gate = gate;
}

uint64_t PitChannel::elapsed(uint64_t now) const {
    if (!m_running) {
        return m_stopped_at;
    }
    return now > m_start ? now - m_start : 0;
}

void PitChannel::begin(uint64_t now) {
    m_start = now;
    m_stopped_at = 0;
    m_running = m_gate || gate_triggers();
}

void PitChannel::write_control(uint8_t value, uint64_t /*now*/) {
    m_access = static_cast<uint8_t>(bits(value, 4, 2));
    m_mode = static_cast<uint8_t>(bits(value, 1, 3));
    if (m_mode > 5) {
        m_mode = static_cast<uint8_t>(m_mode - 4);  // 6 and 7 are 2 and 3
    }
    m_bcd = (value & 1) != 0;
    m_count = 0;
    m_next_count = 0;
    m_running = false;
    m_stopped_at = 0;
    m_write_high_next = false;
    m_read_high_next = false;
    m_latched_bytes = 0;
    m_status_latched = false;
}

void PitChannel::write(uint8_t value, uint64_t now) {
    switch (m_access) {
        case k_low:
            load_count(value, now);
            break;
        case k_high:
            load_count(static_cast<uint16_t>(value << 8), now);
            break;
        default:
            if (m_write_high_next) {
                m_write_high_next = false;
                load_count(static_cast<uint16_t>(value << 8 | m_written_low), now);
            } else {
                m_write_high_next = true;
                m_written_low = value;
                if (m_mode == 0) {
                    m_stopped_at = elapsed(now);  // the first byte stops mode 0
                    m_running = false;
                }
            }
    }
}

void PitChannel::load_count(uint16_t written, uint64_t now) {
    const uint32_t value = m_bcd ? from_bcd(written) : written;
    const uint32_t count = value == 0 ? modulus() : value;
    if (m_count != 0 && m_running && is_periodic()) {
        take_next_count(now);
        m_start += elapsed(now) / m_count * m_count;  // so that the period under way ends at m_start + m_count
        m_next_count = count;
        return;
    }
    const bool triggered_running = gate_triggers() && m_running;
    if (triggered_running) {
        m_next_count = count;  // the next trigger takes it
        return;
    }
    m_count = count;
    if (!gate_triggers()) {
        begin(now);
    }
}

void PitChannel::take_next_count(uint64_t now) {
    if (m_next_count != 0 && is_periodic() && elapsed(now) >= m_count) {
        m_start += m_count;
        m_count = m_next_count;
        m_next_count = 0;
    }
}

void PitChannel::set_gate(bool gate, uint64_t now) {
    const bool rising = gate && !m_gate;
    const bool falling = !gate && m_gate;
    take_next_count(now);
    if (falling && !gate_triggers()) {
        m_stopped_at = is_periodic() ? 0 : elapsed(now);
        m_running = false;
    }
    m_gate = gate;
    if (!rising || m_count == 0) {
        return;
    }
    if (m_next_count != 0) {
        m_count = m_next_count;
        m_next_count = 0;
    }
    if (gate_triggers() || is_periodic()) {
        begin(now);
    } else if (!m_write_high_next) {
        m_start = now - std::min(now, m_stopped_at);
        m_running = true;
    }
}

uint16_t PitChannel::counter(uint64_t now) const {
    if (m_count == 0) {
        return 0;
    }
    uint64_t gone = elapsed(now);
    uint32_t count = m_count;
    if (m_next_count != 0 && is_periodic() && gone >= count) {
        gone -= count;
        count = m_next_count;
    }
    uint32_t value = 0;
    if (m_mode == 2) {
        value = count - static_cast<uint32_t>(gone % count);
    } else if (m_mode == 3) {
        // Counts down by two, twice a period; an odd count has the longer first half.
        const auto phase = static_cast<uint32_t>(gone % count);
        const uint32_t half = (count + 1) / 2;
        value = (count & ~1U) - 2 * (phase < half ? std::min(phase, count / 2) : phase - half);
    } else {
        value = (count + modulus() - static_cast<uint32_t>(gone % modulus())) % modulus();
    }
    return m_bcd ? to_bcd(value % 10000) : static_cast<uint16_t>(value);
}

bool PitChannel::output(uint64_t now) const {
    if (m_count == 0) {
        return m_mode != 0;
    }
    uint64_t gone = elapsed(now);
    uint32_t count = m_count;
    if (m_next_count != 0 && is_periodic() && gone >= count) {
        gone -= count;
        count = m_next_count;
    }
    switch (m_mode) {
        case 0:
            return gone >= count;
        case 1:
            return !m_running || gone >= count;
        case 2:
            return !m_running || gone % count != count - 1;
        case 3:
            return !m_running || gone % count < (count + 1) / 2;
        default:
            return !m_running || gone != count;  // a strobe of one clock
    }
}

std::optional<uint64_t> PitChannel::next_event(uint64_t now) const {
    if (m_count == 0 || !m_running) {
        return std::nullopt;
    }
    if (is_periodic()) {
        const uint64_t gone = elapsed(now);
        if (m_next_count != 0 && gone >= m_count) {
            return m_start + m_count + ((gone - m_count) / m_next_count + 1) * m_next_count;
        }
        return m_start + (gone / m_count + 1) * m_count;
    }
    const uint64_t end = m_start + m_count + (m_mode >= 4 ? 1 : 0);
    return end > now ? std::optional(end) : std::nullopt;
}

void PitChannel::latch_count(uint64_t now) {
    if (m_latched_bytes == 0) {
        m_latch = counter(now);
        m_latched_bytes = m_access == k_low_high ? 2 : 1;
    }
}

void PitChannel::latch_status(uint64_t now) {
    if (m_status_latched) {
        return;
    }
    const bool null_count = m_count == 0 || (m_next_count != 0 && elapsed(now) < m_count);
    m_status = static_cast<uint8_t>((output(now) ? 0x80 : 0) | (null_count ? 0x40 : 0) | m_access << 4 | m_mode << 1 |
                                    (m_bcd ? 1 : 0));
    m_status_latched = true;
}

uint8_t PitChannel::read(uint64_t now) {
    if (m_status_latched) {
        m_status_latched = false;
        return m_status;
    }
    const uint16_t value = m_latched_bytes != 0 ? m_latch : counter(now);
    bool high = m_access == k_high;
    if (m_access == k_low_high) {
        high = m_read_high_next;
        m_read_high_next = !m_read_high_next;
    }
    if (m_latched_bytes != 0) {
        --m_latched_bytes;
    }
    return static_cast<uint8_t>(high ? value >> 8 : value);
}

void PitChannel::save(StateWriter& writer) const {
    for (const uint8_t value : {m_mode, m_access, m_written_low, m_latched_bytes, m_status}) {
        writer.put(value);
    }
    for (const bool flag : {m_bcd, m_gate, m_running, m_write_high_next, m_read_high_next, m_status_latched}) {
        writer.put(static_cast<uint8_t>(flag));
    }
    writer.put(m_count);
    writer.put(m_next_count);
    writer.put(m_start);
    writer.put(m_stopped_at);
    writer.put(m_latch);
}

void PitChannel::load(StateReader& reader) {
    for (uint8_t* value : {&m_mode, &m_access, &m_written_low, &m_latched_bytes, &m_status}) {
        reader.get(*value);
    }
    for (bool* flag : {&m_bcd, &m_gate, &m_running, &m_write_high_next, &m_read_high_next, &m_status_latched}) {
        *flag = reader.get<uint8_t>() != 0;
    }
    reader.get(m_count);
    reader.get(m_next_count);
    reader.get(m_start);
    reader.get(m_stopped_at);
    reader.get(m_latch);
    if (m_mode > 5 || m_access > 3 || m_latched_bytes > 2 || m_count > modulus() || m_next_count > modulus() ||
        bits(m_start, 56, 8) != 0 || bits(m_stopped_at, 56, 8) != 0) {
        reader.fail("a channel is in an impossible state");
        reset();
    }
}

// --- the chip ------------------------------------------------------------------------------------

Pit::Pit(IoSpace& ports, Clock& clock, IrqLine irq0) : m_clock(clock), m_irq(irq0) {
    m_timer = clock.make_timer([this] { on_timer(); });
    m_claims[0] = ports.claim({.start = 0x40, .size = 4, .max_width = 1}, *this, m_gate);
    m_claims[1] = ports.claim({.start = 0x61, .size = 1, .max_width = 1}, m_control_handler, m_gate);
    Pit::reset();
}

uint64_t Pit::now() const {
    return ticks_of(m_clock.now(), k_hertz);
}

void Pit::reset() {
    const std::lock_guard lock(m_gate);
    for (PitChannel& channel : m_channels) {
        channel.reset();
    }
    m_control_port = 0;
    m_channels[2].set_gate(false, now());
    schedule();
}

uint64_t Pit::io_read(uint64_t offset, unsigned /*size*/) {
    return offset < 3 ? m_channels[offset].read(now()) : 0xff;
}

void Pit::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    if (offset < 3) {
        m_channels[offset].write(byte, now());
    } else {
        write_command(byte);
    }
    schedule();
}

void Pit::write_command(uint8_t value) {
    const unsigned select = value >> 6;
    const uint64_t time = now();
    if (select < 3) {
        if ((value & 0x30) == 0) {
            m_channels[select].latch_count(time);
        } else {
            m_channels[select].write_control(value, time);
        }
        return;
    }
    for (unsigned index = 0; index < 3; ++index) {  // read-back
        if ((value & (2U << index)) == 0) {
            continue;
        }
        if ((value & 0x20) == 0) {
            m_channels[index].latch_count(time);
        }
        if ((value & 0x10) == 0) {
            m_channels[index].latch_status(time);
        }
    }
}

uint8_t Pit::read_control_port() const {
    const bool refresh = (m_clock.now() / k_refresh_half_period & 1) != 0;
    return static_cast<uint8_t>(m_control_port | (refresh ? 0x10 : 0) | (m_channels[2].output(now()) ? 0x20 : 0));
}

void Pit::write_control_port(uint8_t value) {
    m_control_port = value & 0x0f;
    m_channels[2].set_gate((value & 1) != 0, now());
}

void Pit::schedule() {
    const std::optional<uint64_t> next = m_channels[0].next_event(now());
    m_event_wanted = next.has_value();
    if (!next) {
        m_timer->disarm();
        return;
    }
    m_event = *next;
    m_timer->arm(time_of(m_event, k_hertz));
}

void Pit::on_timer() {
    const std::lock_guard lock(m_gate);
    const uint64_t time = now();
    if (!m_event_wanted || time < m_event) {
        return;  // reprogrammed meanwhile, and armed anew
    }
    const std::optional<uint64_t> next = m_channels[0].next_event(time);
    m_event_wanted = next.has_value();
    if (next) {
        m_event = *next;
        m_timer->arm(std::max(time_of(m_event, k_hertz), m_clock.now() + k_shortest_rearm));
    }
    m_irq.pulse();
}

void Pit::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    for (const PitChannel& channel : m_channels) {
        channel.save(writer);
    }
    writer.put(m_control_port);
}

void Pit::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    for (PitChannel& channel : m_channels) {
        channel.load(reader);
    }
    m_control_port = reader.get<uint8_t>() & 0x0f;
    schedule();
}

}  // namespace skep
