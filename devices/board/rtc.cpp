// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/rtc.hpp"

#include <algorithm>

#include "devices/board/time_scale.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint64_t k_oscillator = 32'768;
constexpr Nanoseconds k_update_time = 2'228'000;  // UIP: 244 us ahead and 1984 us of updating
constexpr int64_t k_day = 86'400;

enum Index : uint8_t {
    k_seconds = 0x00,
    k_seconds_alarm = 0x01,
    k_minutes = 0x02,
    k_minutes_alarm = 0x03,
    k_hours = 0x04,
    k_hours_alarm = 0x05,
    k_weekday = 0x06,
    k_day_of_month = 0x07,
    k_month = 0x08,
    k_year = 0x09,
    k_a = 0x0a,
    k_b = 0x0b,
    k_c = 0x0c,
    k_d = 0x0d,
    k_equipment = 0x14,
    k_base_memory = 0x15,
    k_extended_memory = 0x17,
    k_extended_memory_again = 0x30,
    k_century = 0x32,
    k_memory_above_16m = 0x34,
    k_boot_order_high = 0x38,
    k_boot_order_low = 0x3d,
    k_memory_above_4g = 0x5b,
    k_cpu_count = 0x5f,
};

constexpr uint8_t k_a_uip = 0x80;
constexpr uint8_t k_b_set = 0x80;
constexpr uint8_t k_b_binary = 0x04;
constexpr uint8_t k_b_24_hours = 0x02;
constexpr uint8_t k_periodic = 0x40;  // in B: enable, in C: flag; likewise the next two
constexpr uint8_t k_alarm = 0x20;
constexpr uint8_t k_update = 0x10;
constexpr uint8_t k_c_irq = 0x80;
constexpr uint8_t k_d_valid = 0x80;

bool is_time(uint8_t index) {
    return index == k_seconds || index == k_minutes || index == k_hours || (index >= k_weekday && index <= k_year) ||
           index == k_century;
}

}  // namespace

Rtc::Rtc(IoSpace& ports, Clock& clock, IrqLine irq8, const RtcConfig& config) : m_clock(clock), m_irq(irq8) {
    m_timer = clock.make_timer([this] {
        const std::lock_guard lock(m_gate);
        catch_up();
        schedule();
    });
    m_registers[k_a] = 0x26;
    m_registers[k_b] = k_b_24_hours;
    m_registers[k_d] = k_d_valid;
    fill_memory(config);
    m_anchor_time = clock.now();
    m_anchor_wall = clock.wall_seconds();
    m_seen_second = moment().second;
    plan_alarm(m_seen_second);
    m_claim = ports.claim({.start = 0x70, .size = 2, .max_width = 1}, *this, m_gate);
}

void Rtc::fill_memory(const RtcConfig& config) {
    const auto put16 = [&](uint8_t index, uint64_t value) {
        const uint64_t capped = std::min<uint64_t>(value, 0xffff);
        m_registers[index] = static_cast<uint8_t>(capped);
        m_registers[index + 1] = static_cast<uint8_t>(capped >> 8);
    };
    const auto above = [](uint64_t bytes, uint64_t limit) { return bytes > limit ? bytes - limit : 0; };
    put16(k_base_memory, 640);
    const uint64_t extended = above(config.low_ram_bytes, uint64_t{1} << 20) / 1024;
    put16(k_extended_memory, extended);
    put16(k_extended_memory_again, extended);
    put16(k_memory_above_16m, above(config.low_ram_bytes, uint64_t{16} << 20) / 65536);
    const uint64_t high = std::min<uint64_t>(config.high_ram_bytes / 65536, 0xff'ffff);
    for (unsigned byte = 0; byte < 3; ++byte) {
        m_registers[k_memory_above_4g + byte] = static_cast<uint8_t>(high >> (byte * 8));
    }
    m_registers[k_equipment] = 0x06;        // a PS/2 mouse and a numeric coprocessor; no floppy drive
    m_registers[k_boot_order_high] = 0x01;  // third: none; no floppy signature check
    m_registers[k_boot_order_low] = 0x32;   // first the disk, then the CD
    m_registers[k_cpu_count] = static_cast<uint8_t>(std::clamp(config.cpu_count, 1U, 255U) - 1);
}

void Rtc::reset() {
    const std::lock_guard lock(m_gate);
    m_index = 0;
    m_registers[k_b] &= static_cast<uint8_t>(~(k_periodic | k_alarm | k_update | 0x08));
    m_registers[k_c] = 0;
    update_irq();
    schedule();
}

void Rtc::resume() {
    const std::lock_guard lock(m_gate);
    catch_up();
    schedule();
}

// --- time ----------------------------------------------------------------------------------------

Rtc::Moment Rtc::moment() {
    // Seconds advance with the guest's clock, so that UIP and the time agree; when the host's wall clock has gone
    // elsewhere (a pause, a correction) they follow it.
    const Nanoseconds now = m_clock.now();
    const int64_t wall = m_clock.wall_seconds();
    const Nanoseconds since = now - std::min(now, m_anchor_time);
    const int64_t predicted = m_anchor_wall + static_cast<int64_t>(since / k_second);
    if (now < m_anchor_time || predicted > wall + 1 || predicted < wall - 1) {
        m_anchor_time = now;
        m_anchor_wall = wall;
        return {wall + m_offset, 0};
    }
    return {predicted + m_offset, since % k_second};
}

bool Rtc::is_set_mode() const {
    return (m_registers[k_b] & k_b_set) != 0;
}

uint8_t Rtc::encode(unsigned value) const {
    return static_cast<uint8_t>((m_registers[k_b] & k_b_binary) != 0 ? value : value / 10 << 4 | value % 10);
}

unsigned Rtc::decode(uint8_t value) const {
    return (m_registers[k_b] & k_b_binary) != 0 ? value : (value >> 4) * 10U + (value & 15U);
}

uint8_t Rtc::encode_hour(unsigned hour) const {
    if ((m_registers[k_b] & k_b_24_hours) != 0) {
        return encode(hour);
    }
    const unsigned twelve = hour % 12 == 0 ? 12 : hour % 12;
    return static_cast<uint8_t>(encode(twelve) | (hour >= 12 ? 0x80 : 0));
}

unsigned Rtc::decode_hour(uint8_t value) const {
    if ((m_registers[k_b] & k_b_24_hours) != 0) {
        return decode(value);
    }
    return decode(value & 0x7f) % 12 + ((value & 0x80) != 0 ? 12U : 0U);
}

void Rtc::registers_from_time(int64_t second) {
    const CalendarTime time = calendar_from_seconds(second);
    const auto year = static_cast<unsigned>(std::clamp(time.year, 0, 9999));
    m_registers[k_seconds] = encode(time.second);
    m_registers[k_minutes] = encode(time.minute);
    m_registers[k_hours] = encode_hour(time.hour);
    m_registers[k_weekday] = encode(time.weekday);
    m_registers[k_day_of_month] = encode(time.day);
    m_registers[k_month] = encode(time.month);
    m_registers[k_year] = encode(year % 100);
    m_registers[k_century] = encode(year / 100);
}

int64_t Rtc::time_from_registers() const {
    CalendarTime time;
    time.second = decode(m_registers[k_seconds]);
    time.minute = decode(m_registers[k_minutes]);
    time.hour = decode_hour(m_registers[k_hours]);
    time.day = decode(m_registers[k_day_of_month]);
    time.month = decode(m_registers[k_month]);
    time.year = static_cast<int>(decode(m_registers[k_century]) * 100 + decode(m_registers[k_year]));
    return seconds_from_calendar(time);
}

void Rtc::set_time(int64_t second) {
    m_offset += second - moment().second;
    m_seen_second = second;
    plan_alarm(second);
}

// --- events --------------------------------------------------------------------------------------

bool Rtc::alarm_matches(uint8_t alarm, uint8_t value) const {
    return (alarm & 0xc0) == 0xc0 || alarm == value;  // the top two bits: don't care
}

void Rtc::plan_alarm(int64_t after) {
    m_alarm.reset();
    const CalendarTime now = calendar_from_seconds(after);
    const int64_t of_day = int64_t{now.hour} * 3600 + now.minute * 60 + now.second;
    std::optional<int64_t> first;  // of the day
    for (unsigned hour = 0; hour < 24; ++hour) {
        if (!alarm_matches(m_registers[k_hours_alarm], encode_hour(hour))) {
            continue;
        }
        for (unsigned minute = 0; minute < 60; ++minute) {
            if (!alarm_matches(m_registers[k_minutes_alarm], encode(minute))) {
                continue;
            }
            for (unsigned second = 0; second < 60; ++second) {
                if (!alarm_matches(m_registers[k_seconds_alarm], encode(second))) {
                    continue;
                }
                const int64_t when = int64_t{hour} * 3600 + minute * 60 + second;
                if (when > of_day) {
                    m_alarm = after - of_day + when;
                    return;
                }
                first = first.value_or(when);
            }
        }
    }
    if (first) {
        m_alarm = after - of_day + k_day + *first;
    }
}

std::optional<uint64_t> Rtc::period() const {
    const unsigned rate = m_registers[k_a] & 0x0f;
    if (rate == 0) {
        return std::nullopt;
    }
    return uint64_t{1} << (rate < 3 ? rate + 6 : rate - 1);  // 1 and 2 are 256 and 128 Hz
}

void Rtc::catch_up() {
    uint8_t& flags = m_registers[k_c];
    if (const std::optional<uint64_t> ticks = period()) {
        const uint64_t number = ticks_of(m_clock.now(), k_oscillator) / *ticks;
        if (number != m_seen_period) {
            m_seen_period = number;
            flags |= k_periodic;
        }
    }
    if (const int64_t second = moment().second; second != m_seen_second) {
        m_seen_second = second;
        if (!is_set_mode()) {
            flags |= k_update;
            if (m_alarm && second >= *m_alarm) {
                flags |= k_alarm;
            }
        }
        if (m_alarm && (second >= *m_alarm || second + k_day < *m_alarm)) {
            plan_alarm(second);
        }
    }
    update_irq();
}

void Rtc::update_irq() {
    uint8_t& flags = m_registers[k_c];
    const bool active = (flags & m_registers[k_b] & (k_periodic | k_alarm | k_update)) != 0;
    flags = static_cast<uint8_t>(active ? flags | k_c_irq : flags & ~k_c_irq);
    m_irq.set(active);
}

void Rtc::schedule() {
    const uint8_t enabled = m_registers[k_b] & (k_periodic | k_alarm | k_update);
    if (enabled == 0 || m_irq.level()) {
        m_timer->disarm();  // nothing new can be told before register C is read
        return;
    }
    Nanoseconds next = ~Nanoseconds{0};
    const Nanoseconds now = m_clock.now();
    if (const std::optional<uint64_t> ticks = period(); ticks && (enabled & k_periodic) != 0) {
        next = time_of((ticks_of(now, k_oscillator) / *ticks + 1) * *ticks, k_oscillator);
    }
    if (!is_set_mode() && (enabled & (k_alarm | k_update)) != 0) {
        const Moment at = moment();
        int64_t seconds = 1;
        if ((enabled & k_update) == 0) {
            seconds = m_alarm ? std::clamp<int64_t>(*m_alarm - at.second, 1, k_day) : k_day;
        }
        next = std::min(next, now - at.phase + static_cast<uint64_t>(seconds) * k_second);
    }
    if (next == ~Nanoseconds{0}) {
        m_timer->disarm();
    } else {
        m_timer->arm(std::max(next, now + k_shortest_rearm));
    }
}

// --- registers -----------------------------------------------------------------------------------

uint64_t Rtc::io_read(uint64_t offset, unsigned /*size*/) {
    return offset == 0 ? 0xff : read_register(m_index & 0x7f);
}

void Rtc::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    if (offset == 0) {
        m_index = static_cast<uint8_t>(value);
    } else {
        write_register(m_index & 0x7f, static_cast<uint8_t>(value));
    }
}

uint8_t Rtc::read_register(uint8_t index) {
    if (is_time(index) && !is_set_mode()) {
        registers_from_time(moment().second);
    }
    if (index == k_a) {
        const bool updating = !is_set_mode() && moment().phase >= k_second - k_update_time;
        return static_cast<uint8_t>(m_registers[k_a] | (updating ? k_a_uip : 0));
    }
    if (index == k_c) {
        catch_up();
        const uint8_t flags = m_registers[k_c];
        m_registers[k_c] = 0;
        update_irq();
        schedule();
        return flags;
    }
    return m_registers[index];
}

void Rtc::write_register(uint8_t index, uint8_t value) {
    if (is_time(index)) {
        if (!is_set_mode()) {
            registers_from_time(moment().second);
        }
        m_registers[index] = value;
        if (!is_set_mode()) {
            set_time(time_from_registers());
        }
        schedule();
        return;
    }
    switch (index) {
        case k_seconds_alarm:
        case k_minutes_alarm:
        case k_hours_alarm:
            m_registers[index] = value;
            plan_alarm(moment().second);
            schedule();
            break;
        case k_a:
            catch_up();
            m_registers[k_a] = value & 0x7f;
            if (const std::optional<uint64_t> ticks = period()) {
                m_seen_period = ticks_of(m_clock.now(), k_oscillator) / *ticks;
            }
            schedule();
            break;
        case k_b:
            write_register_b(value);
            break;
        case k_c:
        case k_d:
            break;  // read-only
        default:
            m_registers[index] = value;
    }
}

void Rtc::write_register_b(uint8_t value) {
    catch_up();
    const bool was_set = is_set_mode();
    const bool will_set = (value & k_b_set) != 0;
    if (!was_set && will_set) {
        registers_from_time(moment().second);
        value &= static_cast<uint8_t>(~k_update);  // SET clears UIE
    }
    m_registers[k_b] = value;
    if (was_set && !will_set) {
        set_time(time_from_registers());
    } else {
        plan_alarm(moment().second);  // the data mode may have changed
    }
    update_irq();
    schedule();
}

void Rtc::set_memory(uint8_t index, uint8_t value) {
    const std::lock_guard lock(m_gate);
    if (index > k_d && index < m_registers.size()) {
        m_registers[index] = value;
    }
}

bool Rtc::nmi_masked() const {
    const std::lock_guard lock(m_gate);
    return (m_index & 0x80) != 0;
}

// --- state ---------------------------------------------------------------------------------------

void Rtc::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    for (const uint8_t value : m_registers) {
        writer.put(value);
    }
    writer.put(m_index);
    writer.put(m_offset);
    writer.put(m_seen_second);
    writer.put(m_seen_period);
    writer.put(static_cast<uint8_t>(m_irq.level()));
}

void Rtc::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    for (uint8_t& value : m_registers) {
        reader.get(value);
    }
    m_registers[k_a] &= 0x7f;
    m_registers[k_d] = k_d_valid;
    reader.get(m_index);
    reader.get(m_offset);
    reader.get(m_seen_second);
    reader.get(m_seen_period);
    m_irq.restore(reader.get<uint8_t>() != 0);
    constexpr int64_t k_limit = int64_t{1} << 40;  // some 35,000 years
    if (m_offset > k_limit || m_offset < -k_limit || m_seen_second > 2 * k_limit || m_seen_second < -2 * k_limit) {
        reader.fail("the time is out of range");
        m_offset = 0;
        m_seen_second = 0;
    }
    plan_alarm(m_seen_second);
    schedule();
}

}  // namespace skep
