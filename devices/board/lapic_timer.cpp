// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/lapic_timer.hpp"

#include <algorithm>
#include <utility>

#include "devices/board/time_scale.hpp"

namespace skep {

ApicTimer::ApicTimer(Clock& clock, ProcessorSignals& signals, std::function<void()> alarm)
    : m_clock(clock), m_signals(signals), m_timer(clock.make_timer(std::move(alarm))) {}

void ApicTimer::reset() {
    stop();
    m_mode = Mode::one_shot;
    m_initial = 0;
    m_divide = 0;
    m_tsc_deadline = 0;
}

unsigned ApicTimer::shift() const {
    // 0 divides by 2, 1 by 4 ... 6 by 128, 7 by 1.
    const unsigned code = (m_divide & 3) | ((m_divide >> 1) & 4);
    return (code + 1) & 7;
}

void ApicTimer::stop() {
    m_running = false;
    m_timer->disarm();
}

void ApicTimer::start(uint32_t count) {
    m_running = count != 0;
    if (!m_running) {
        m_timer->disarm();
        return;
    }
    m_end = m_clock.now() + (uint64_t{count} << shift());
    m_timer->arm(m_end);
}

void ApicTimer::set_mode(Mode mode) {
    if (mode == m_mode) {
        return;
    }
    // Going to or from TSC-deadline mode disarms; one-shot and periodic only differ at zero (10.5.4.1).
    if (mode == Mode::tsc_deadline || m_mode == Mode::tsc_deadline) {
        stop();
        m_tsc_deadline = 0;
        m_initial = 0;
    }
    m_mode = mode;
}

void ApicTimer::set_initial_count(uint32_t count) {
    if (m_mode == Mode::tsc_deadline) {
        return;
    }
    m_initial = count;
    start(count);
}

void ApicTimer::set_divide(uint32_t configuration) {
    const uint32_t left = current_count();
    m_divide = configuration & 0xb;
    if (m_running) {
        start(std::max(left, 1U));
    }
}

uint32_t ApicTimer::current_count() const {
    if (!m_running) {
        return 0;
    }
    const Nanoseconds now = m_clock.now();
    uint64_t left = 0;
    if (now < m_end) {
        left = m_end - now;
    } else if (m_mode == Mode::periodic && period() != 0) {
        left = period() - (now - m_end) % period();  // the alarm is late
    }
    return static_cast<uint32_t>((left + (uint64_t{1} << shift()) - 1) >> shift());
}

void ApicTimer::set_deadline(uint64_t tsc) {
    if (m_mode != Mode::tsc_deadline) {
        return;
    }
    m_tsc_deadline = tsc;
    if (tsc == 0) {
        m_timer->disarm();
    } else {
        arm_for_tsc();
    }
}

void ApicTimer::arm_for_tsc() {
    const uint64_t tsc = m_signals.tsc_now();
    const uint64_t hertz = std::max<uint64_t>(m_signals.tsc_hz(), 1);
    const uint64_t left = m_tsc_deadline > tsc ? m_tsc_deadline - tsc : 0;
    m_timer->arm(saturating_add(m_clock.now(), time_of(left, hertz)));
}

bool ApicTimer::take_expired() {
    if (m_mode == Mode::tsc_deadline) {
        if (m_tsc_deadline == 0) {
            return false;
        }
        if (m_signals.tsc_now() < m_tsc_deadline) {
            arm_for_tsc();
            return false;
        }
        m_tsc_deadline = 0;
        return true;
    }
    const Nanoseconds now = m_clock.now();
    if (!m_running) {
        return false;
    }
    if (now < m_end) {
        m_timer->arm(m_end);  // it was started anew while the alarm was on its way
        return false;
    }
    if (m_mode == Mode::one_shot || period() == 0) {
        m_running = false;
        return true;
    }
    m_end += period() * ((now - m_end) / period() + 1);
    m_timer->arm(std::max(m_end, now + k_shortest_rearm));
    return true;
}

void ApicTimer::rearm() {
    if (m_mode == Mode::tsc_deadline) {
        if (m_tsc_deadline != 0) {
            arm_for_tsc();
        }
    } else if (m_running) {
        m_timer->arm(m_end);
    }
}

void ApicTimer::save(StateWriter& writer) const {
    writer.put(m_mode);
    writer.put(m_initial);
    writer.put(m_divide);
    writer.put(static_cast<uint8_t>(m_running));
    writer.put(m_running ? m_end : 0);
    writer.put(m_tsc_deadline);
}

void ApicTimer::load(StateReader& reader) {
    stop();
    m_mode = static_cast<Mode>(reader.get<uint8_t>() % 3);
    reader.get(m_initial);
    m_divide = reader.get<uint32_t>() & 0xb;
    m_running = reader.get<uint8_t>() != 0;
    reader.get(m_end);
    reader.get(m_tsc_deadline);
    if (m_mode == Mode::tsc_deadline) {
        m_running = false;
    } else {
        m_tsc_deadline = 0;
    }
    rearm();
}

}  // namespace skep
