// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/hpet.hpp"

#include <algorithm>

#include "devices/board/time_scale.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;

constexpr uint64_t k_reg_capabilities = 0x000;
constexpr uint64_t k_reg_configuration = 0x010;
constexpr uint64_t k_reg_status = 0x020;
constexpr uint64_t k_reg_counter = 0x0f0;
constexpr uint64_t k_reg_timers = 0x100;
constexpr uint64_t k_timer_stride = 0x20;

// Revision 1, three timers, 64 bits, legacy replacement, Intel, 10,000,000 fs.
constexpr uint64_t k_capabilities = uint64_t{Hpet::k_period * 1'000'000} << 32 | 0x8086'a201;

constexpr uint64_t k_level = bit(1);
constexpr uint64_t k_interrupt_enable = bit(2);
constexpr uint64_t k_periodic = bit(3);
constexpr uint64_t k_set_value = bit(6);
constexpr uint64_t k_32_bits = bit(8);
constexpr uint64_t k_writable = 0x3f4e;                           // and bit 6, which does not stay
constexpr uint64_t k_timer_capabilities = 0x00f0'0000'0000'0030;  // GSI 20..23, 64 bits, periodic

}  // namespace

Hpet::Hpet(IoSpace& mmio, Clock& clock, IrqRouter& router) : m_clock(clock), m_router(router) {
    m_timer = clock.make_timer([this] { on_timer(); });
    m_claim = mmio.claim({.start = k_address, .size = 0x400, .min_width = 4, .max_width = 8}, *this, m_gate);
    Hpet::reset();
}

void Hpet::reset() {
    const std::lock_guard lock(m_gate);
    m_configuration = 0;
    m_status = 0;
    m_counter = 0;
    m_timers = {};
    m_router.set_legacy_replacement(false);
    drive_lines();
    schedule();
}

uint64_t Hpet::counter() const {
    return enabled() ? ticks() + m_counter : m_counter;
}

// --- registers -----------------------------------------------------------------------------------

uint64_t Hpet::io_read(uint64_t offset, unsigned size) {
    const uint64_t whole = read_register(align_down(offset, 8));
    return bits(whole, static_cast<unsigned>(offset % 8) * 8, size * 8);
}

void Hpet::io_write(uint64_t offset, unsigned size, uint64_t value) {
    const auto byte = static_cast<unsigned>(offset % 8);
    const unsigned width = std::min(size, 8 - byte);
    write_register(align_down(offset, 8), value << (byte * 8), all_ones(width) << (byte * 8));
}

uint64_t Hpet::read_register(uint64_t offset) const {
    switch (offset) {
        case k_reg_capabilities:
            return k_capabilities;
        case k_reg_configuration:
            return m_configuration;
        case k_reg_status:
            return m_status;
        case k_reg_counter:
            return counter();
        default:
            break;
    }
    const uint64_t index = (offset - k_reg_timers) / k_timer_stride;
    if (offset < k_reg_timers || index >= k_timers) {
        return 0;
    }
    const Comparator& timer = m_timers[index];
    const bool narrow = (timer.configuration & k_32_bits) != 0;
    switch (offset % k_timer_stride) {
        case 0x00:
            return k_timer_capabilities | timer.configuration;
        case 0x08:
            return narrow ? bits(timer.value, 0, 32) : timer.value;
        default:
            return 0;
    }
}

void Hpet::write_register(uint64_t offset, uint64_t value, uint64_t mask) {
    switch (offset) {
        case k_reg_configuration:
            write_configuration((m_configuration & ~mask) | (value & mask));
            return;
        case k_reg_status:
            m_status &= ~(value & mask);
            drive_lines();
            return;
        case k_reg_counter:
            if (!enabled()) {  // changing a running counter is undefined
                m_counter = (m_counter & ~mask) | (value & mask);
            }
            return;
        default:
            break;
    }
    const uint64_t index = (offset - k_reg_timers) / k_timer_stride;
    if (offset >= k_reg_timers && index < k_timers) {
        write_timer(static_cast<unsigned>(index), offset % k_timer_stride, value, mask);
    }
}

void Hpet::write_configuration(uint64_t value) {
    const bool was_enabled = enabled();
    const uint64_t now = counter();
    m_configuration = value & 3;
    if (was_enabled != enabled()) {
        m_counter = enabled() ? now - ticks() : now;
        for (Comparator& timer : m_timers) {
            arm(timer, Past::waits_for_wrap);
        }
    }
    m_router.set_legacy_replacement(legacy());
    drive_lines();
    schedule();
}

void Hpet::write_timer(unsigned index, uint64_t offset, uint64_t value, uint64_t mask) {
    Comparator& timer = m_timers[index];
    if (offset == 0x00) {
        const uint64_t merged = (timer.configuration & ~mask) | (value & mask);
        timer.configuration = merged & k_writable;
        const unsigned route = static_cast<unsigned>(bits(merged, 9, 5));
        if (route != 0 && (k_timer_capabilities >> (32 + route) & 1) == 0) {
            timer.configuration &= ~(uint64_t{0x1f} << 9);  // not a pin of ours: reads back differently
        }
        if ((timer.configuration & k_32_bits) != 0) {
            timer.value = bits(timer.value, 0, 32);
            timer.period = bits(timer.period, 0, 32);
        }
        if ((timer.configuration & k_level) == 0) {
            m_status &= ~bit(index);
        }
        arm(timer, Past::waits_for_wrap);
        drive_lines();
    } else if (offset == 0x08) {
        write_comparator(timer, value, mask);
        arm(timer, Past::fires_now);
    }
    schedule();
}

void Hpet::write_comparator(Comparator& timer, uint64_t value, uint64_t mask) {
    const bool periodic = (timer.configuration & k_periodic) != 0;
    if (!periodic || (timer.configuration & k_set_value) != 0) {
        timer.value = (timer.value & ~mask) | (value & mask);
    }
    if (periodic) {
        timer.period = (timer.period & ~mask) | (value & mask);
    }
    timer.configuration &= ~k_set_value;  // one write only
    if ((timer.configuration & k_32_bits) != 0) {
        timer.value = bits(timer.value, 0, 32);
        timer.period = bits(timer.period, 0, 32);
    }
}

// --- events --------------------------------------------------------------------------------------

void Hpet::arm(Comparator& timer, Past past) {
    timer.armed = enabled();
    if (!timer.armed) {
        return;
    }
    // A guest that is slow between reading the counter and writing the comparator must not wait for a wrap.
    const bool narrow = (timer.configuration & k_32_bits) != 0;
    uint64_t distance = timer.value - counter();
    bool behind = bits(distance, 63, 1) != 0;
    if (narrow) {
        distance = bits(distance, 0, 32);
        behind = bits(distance, 31, 1) != 0;
    }
    if (behind && past == Past::fires_now) {
        distance = 0;
    }
    timer.due = saturating_add(ticks(), distance);
}

void Hpet::schedule() {
    uint64_t first = ~uint64_t{0};
    for (const Comparator& timer : m_timers) {
        if (timer.armed && (timer.configuration & k_interrupt_enable) != 0) {
            first = std::min(first, timer.due);
        }
    }
    if (first >= ~uint64_t{0} / k_period) {
        m_timer->disarm();
    } else {
        m_timer->arm(first * k_period);
    }
}

void Hpet::on_timer() {
    const std::lock_guard lock(m_gate);
    const uint64_t now = ticks();
    for (unsigned index = 0; index < k_timers; ++index) {
        Comparator& timer = m_timers[index];
        if (!timer.armed || timer.due > now) {
            continue;
        }
        if ((timer.configuration & k_periodic) != 0 && timer.period != 0) {
            const uint64_t periods = (now - timer.due) / timer.period + 1;
            timer.value += periods * timer.period;
            timer.due += periods * timer.period;
            if ((timer.configuration & k_32_bits) != 0) {
                timer.value = bits(timer.value, 0, 32);
            }
            timer.due = std::max(timer.due, now + k_shortest_rearm / k_period);
        } else if ((timer.configuration & k_32_bits) != 0) {
            timer.due = saturating_add(timer.due, uint64_t{1} << 32);  // the next time round
        } else {
            timer.armed = false;
        }
        if ((timer.configuration & k_interrupt_enable) != 0) {
            fire(index);
        }
    }
    schedule();
}

unsigned Hpet::line_of(unsigned index) const {
    if (legacy() && index < 2) {
        return index == 0 ? IrqRouter::k_input_hpet_timer0 : IrqRouter::k_input_hpet_timer1;
    }
    return IrqRouter::k_input_hpet +
           static_cast<unsigned>(bits(m_timers[index].configuration, 9, 5)) % IrqRouter::k_gsi_count;
}

void Hpet::fire(unsigned index) {
    if ((m_timers[index].configuration & k_level) != 0) {
        m_status |= bit(index);
        drive_lines();
        return;
    }
    const unsigned line = line_of(index);
    if (line >= IrqRouter::k_input_hpet && bits(m_timers[index].configuration, 9, 5) == 0) {
        return;  // not routed anywhere
    }
    if ((m_lines_high & bit(line)) == 0) {
        m_router.set_line(line, true);
        m_router.set_line(line, false);
    }
}

void Hpet::drive_lines() {
    uint64_t wanted = 0;
    for (unsigned index = 0; index < k_timers; ++index) {
        const uint64_t configuration = m_timers[index].configuration;
        const bool routed = (legacy() && index < 2) || bits(configuration, 9, 5) != 0;
        const bool asserts = (m_status & bit(index)) != 0 && (configuration & k_interrupt_enable) != 0;
        if (routed && asserts) {
            wanted |= bit(line_of(index));
        }
    }
    const uint64_t changed = wanted ^ m_lines_high;
    m_lines_high = wanted;
    for (unsigned line = 0; line < IrqRouter::k_input_count; ++line) {
        if ((changed & bit(line)) != 0) {
            m_router.set_line(line, (wanted & bit(line)) != 0);
        }
    }
}

// --- state ---------------------------------------------------------------------------------------

void Hpet::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    writer.put(m_configuration);
    writer.put(m_status);
    writer.put(m_counter);
    for (const Comparator& timer : m_timers) {
        writer.put(timer.configuration);
        writer.put(timer.value);
        writer.put(timer.period);
        writer.put(static_cast<uint8_t>(timer.armed));
        writer.put(timer.due);
    }
    writer.put(m_lines_high);
}

void Hpet::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    m_configuration = reader.get<uint64_t>() & 3;
    m_status = reader.get<uint64_t>() & 7;
    reader.get(m_counter);
    for (Comparator& timer : m_timers) {
        timer.configuration = reader.get<uint64_t>() & k_writable;
        reader.get(timer.value);
        reader.get(timer.period);
        timer.armed = reader.get<uint8_t>() != 0;
        reader.get(timer.due);
        const auto route = static_cast<unsigned>(bits(timer.configuration, 9, 5));
        if (route != 0 && (k_timer_capabilities >> (32 + route) & 1) == 0) {
            reader.fail("a timer is routed to a pin that it does not have");
            timer.configuration = 0;
        }
    }
    m_lines_high = reader.get<uint64_t>() & (bit(IrqRouter::k_input_count) - 1);
    schedule();
}

}  // namespace skep
