// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/serial.hpp"

#include <algorithm>
#include <span>

#include "devices/board/time_scale.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint64_t k_crystal_over_16 = 115'200;
constexpr Nanoseconds k_longest_character = 2'000'000;  // nobody wants to wait for 50 baud

enum Register : unsigned { k_data, k_interrupt, k_fifo_or_iir, k_lcr, k_mcr, k_lsr, k_msr, k_scr };

constexpr uint8_t k_enable_received = 0x01;
constexpr uint8_t k_enable_thre = 0x02;
constexpr uint8_t k_enable_line_status = 0x04;
constexpr uint8_t k_enable_modem_status = 0x08;

constexpr uint8_t k_iir_none = 0x01;
constexpr uint8_t k_iir_modem_status = 0x00;
constexpr uint8_t k_iir_thre = 0x02;
constexpr uint8_t k_iir_received = 0x04;
constexpr uint8_t k_iir_line_status = 0x06;
constexpr uint8_t k_iir_timeout = 0x0c;
constexpr uint8_t k_iir_fifos = 0xc0;

constexpr uint8_t k_lsr_data_ready = 0x01;
constexpr uint8_t k_lsr_overrun = 0x02;
constexpr uint8_t k_lsr_break = 0x10;
constexpr uint8_t k_lsr_transmitter_empty = 0x60;  // THRE and TEMT: sending takes no time

constexpr uint8_t k_lcr_break = 0x40;
constexpr uint8_t k_msr_connected = 0xb0;  // DCD, DSR, CTS

}  // namespace

Serial::Serial(IoSpace& ports, Clock& clock, IrqLine irq, const SerialConfig& config)
    : m_config(config), m_clock(clock), m_irq(irq) {
    m_timeout_timer = clock.make_timer([this] {
        const std::lock_guard lock(m_gate);
        if (m_timeout_armed && m_fifo_count != 0) {
            m_timeout_armed = false;
            m_timed_out = true;
            update_irq();
        }
    });
    m_fill_timer = clock.make_timer([this] {
        const std::lock_guard lock(m_gate);
        fill();
    });
    Serial::reset();
    m_claim = ports.claim({.start = config.base, .size = 8, .max_width = 1}, *this, m_gate);
    if (m_config.backend != nullptr) {
        m_config.backend->set_input_ready([this] { on_input_ready(); });
    }
}

Serial::~Serial() {
    if (m_config.backend != nullptr) {
        m_config.backend->set_input_ready([] {});
    }
}

void Serial::reset() {
    const std::lock_guard lock(m_gate);
    m_interrupt_enable = 0;
    m_fifo_control = 0;
    m_line_control = 0;
    m_modem_control = 0;
    m_line_errors = 0;
    m_modem_status = 0;
    m_scratch = 0;
    m_divisor = 12;
    m_thre_pending = false;
    clear_receiver();
    m_modem_status = modem_inputs();
    update_irq();
    fill_soon();
}

// Only now: what the backend had earlier would be lost in the reset before the start.
void Serial::start() {
    const std::lock_guard lock(m_gate);
    m_paused = false;
    fill();
}

void Serial::pause() {
    const std::lock_guard lock(m_gate);
    m_paused = true;
}

void Serial::resume() {
    const std::lock_guard lock(m_gate);
    m_paused = false;
    fill();
}

// --- receiving -----------------------------------------------------------------------------------

void Serial::on_input_ready() {
    if (m_gate.held_by_this_thread()) {
        m_input_hint = true;  // the backend answered our own write()
        return;
    }
    const std::lock_guard lock(m_gate);
    fill();
}

void Serial::fill() {
    if (m_config.backend == nullptr || m_paused || loopback()) {
        return;
    }
    std::array<std::byte, k_fifo_size> taken{};
    const unsigned space = capacity() - std::min(capacity(), m_fifo_count);
    if (space == 0) {
        return;
    }
    const size_t count = std::min<size_t>(m_config.backend->read(taken.data(), space), space);
    for (size_t index = 0; index < count; ++index) {
        push(std::to_integer<uint8_t>(taken[index]));
    }
    if (count != 0) {
        await_timeout();
        update_irq();
    }
}

void Serial::fill_soon() {
    if (m_config.backend != nullptr) {
        m_fill_timer->arm(m_clock.now() + std::max(character_time(), k_shortest_rearm));
    }
}

void Serial::push(uint8_t byte) {
    if (m_fifo_count >= capacity()) {
        m_line_errors |= k_lsr_overrun;  // only a loopback can overrun
        if (fifo_enabled()) {
            return;
        }
        m_fifo_count = 0;  // without FIFOs the new character replaces the old one
    }
    m_fifo[(m_fifo_first + m_fifo_count) % k_fifo_size] = byte;
    ++m_fifo_count;
}

void Serial::await_timeout() {
    m_timeout_armed = fifo_enabled() && m_fifo_count != 0;
    if (m_timeout_armed) {
        m_timeout_timer->arm(m_clock.now() + 4 * character_time());
    } else {
        m_timeout_timer->disarm();
    }
}

void Serial::clear_receiver() {
    m_fifo_first = 0;
    m_fifo_count = 0;
    m_timed_out = false;
    m_timeout_armed = false;
    m_timeout_timer->disarm();
}

uint8_t Serial::read_receiver() {
    if (m_fifo_count == 0) {
        return 0;
    }
    const uint8_t byte = m_fifo[m_fifo_first];
    m_fifo_first = (m_fifo_first + 1) % k_fifo_size;
    --m_fifo_count;
    m_timed_out = false;
    await_timeout();
    if (m_fifo_count == 0 && !loopback()) {
        fill_soon();
    }
    update_irq();
    return byte;
}

unsigned Serial::trigger() const {
    constexpr std::array<unsigned, 4> k_levels{1, 4, 8, 14};
    return fifo_enabled() ? k_levels[m_fifo_control >> 6] : 1;
}

Nanoseconds Serial::character_time() const {
    // Start bit, data, parity and stop bits.
    const unsigned parity = (m_line_control & 0x08) != 0 ? 1 : 0;
    const unsigned length = 1 + 5 + (m_line_control & 3U) + parity + 1 + ((m_line_control & 0x04) != 0 ? 1U : 0U);
    const uint64_t divisor = m_divisor == 0 ? 65536 : m_divisor;
    return std::min(length * divisor * k_second / k_crystal_over_16, k_longest_character);
}

// --- interrupts ----------------------------------------------------------------------------------

uint8_t Serial::interrupt_identification() const {
    if ((m_interrupt_enable & k_enable_line_status) != 0 && m_line_errors != 0) {
        return k_iir_line_status;
    }
    if ((m_interrupt_enable & k_enable_received) != 0) {
        if (m_fifo_count >= trigger()) {
            return k_iir_received;
        }
        if (m_timed_out) {
            return k_iir_timeout;
        }
    }
    if ((m_interrupt_enable & k_enable_thre) != 0 && m_thre_pending) {
        return k_iir_thre;
    }
    if ((m_interrupt_enable & k_enable_modem_status) != 0 && (m_modem_status & 0x0f) != 0) {
        return k_iir_modem_status;
    }
    return k_iir_none;
}

void Serial::update_irq() {
    m_irq.set(interrupt_identification() != k_iir_none);
}

// --- registers -----------------------------------------------------------------------------------

uint64_t Serial::io_read(uint64_t offset, unsigned /*size*/) {
    switch (offset) {
        case k_data:
            return divisor_access() ? m_divisor & 0xff : read_receiver();
        case k_interrupt:
            return divisor_access() ? m_divisor >> 8 : m_interrupt_enable;
        case k_fifo_or_iir: {
            const uint8_t source = interrupt_identification();
            if (source == k_iir_thre) {
                m_thre_pending = false;
                update_irq();
            }
            return source | (fifo_enabled() ? k_iir_fifos : 0U);
        }
        case k_lcr:
            return m_line_control;
        case k_mcr:
            return m_modem_control;
        case k_lsr:
            return read_line_status();
        case k_msr: {
            const uint8_t value = m_modem_status;
            m_modem_status &= 0xf0;
            update_irq();
            return value;
        }
        default:
            return m_scratch;
    }
}

uint8_t Serial::read_line_status() {
    const uint8_t value =
        static_cast<uint8_t>(k_lsr_transmitter_empty | m_line_errors | (m_fifo_count != 0 ? k_lsr_data_ready : 0));
    if (m_line_errors != 0) {
        m_line_errors = 0;
        update_irq();
    }
    return value;
}

void Serial::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    switch (offset) {
        case k_data:
            if (divisor_access()) {
                m_divisor = static_cast<uint16_t>((m_divisor & 0xff00) | byte);
            } else {
                write_transmitter(byte);
            }
            break;
        case k_interrupt:
            if (divisor_access()) {
                m_divisor = static_cast<uint16_t>((m_divisor & 0x00ff) | byte << 8);
            } else {
                write_interrupt_enable(byte);
            }
            break;
        case k_fifo_or_iir:
            write_fifo_control(byte);
            break;
        case k_lcr:
            write_line_control(byte);
            break;
        case k_mcr:
            write_modem_control(byte);
            break;
        case k_scr:
            m_scratch = byte;
            break;
        default:
            break;  // LSR and MSR are read-only
    }
}

void Serial::write_transmitter(uint8_t value) {
    // The holding register is full for no time at all: the interrupt goes away and comes anew, as an edge.
    m_thre_pending = false;
    update_irq();
    if (loopback()) {
        push(value);
        await_timeout();
    } else if (m_config.backend != nullptr) {
        const auto byte = static_cast<std::byte>(value);
        m_config.backend->write(std::span(&byte, 1));
    }
    m_thre_pending = true;
    update_irq();
    if (m_input_hint) {
        m_input_hint = false;
        fill();
    }
}

void Serial::write_interrupt_enable(uint8_t value) {
    const uint8_t old = m_interrupt_enable;
    m_interrupt_enable = value & 0x0f;
    if (((old ^ value) & k_enable_thre) != 0) {
        m_thre_pending = (value & k_enable_thre) != 0;  // enabling finds the register empty
    }
    update_irq();
}

void Serial::write_fifo_control(uint8_t value) {
    const bool toggled = ((value ^ m_fifo_control) & 0x01) != 0;
    m_fifo_control = (value & 0x01) != 0 ? value & 0xc9 : 0;
    if (toggled || ((value & 0x02) != 0 && fifo_enabled())) {
        clear_receiver();
        fill_soon();
    }
    if ((value & 0x04) != 0) {
        m_thre_pending = true;
    }
    update_irq();
}

void Serial::write_line_control(uint8_t value) {
    const bool starts_break = (value & k_lcr_break) != 0 && (m_line_control & k_lcr_break) == 0;
    m_line_control = value;
    if (starts_break && loopback()) {
        push(0);
        m_line_errors |= k_lsr_break;
        await_timeout();
        update_irq();
    }
}

uint8_t Serial::modem_inputs() const {
    if (!loopback()) {
        return m_config.backend != nullptr ? k_msr_connected : 0;
    }
    // RTS -> CTS, DTR -> DSR, OUT1 -> RI, OUT2 -> DCD
    return static_cast<uint8_t>((m_modem_control & 0x02) << 3 | (m_modem_control & 0x01) << 5 |
                                (m_modem_control & 0x04) << 4 | (m_modem_control & 0x08) << 4);
}

void Serial::update_modem_status() {
    const uint8_t inputs = modem_inputs();
    const auto changed = static_cast<uint8_t>((m_modem_status ^ inputs) & 0xf0);
    uint8_t deltas = changed >> 4;
    if ((inputs & 0x40) != 0) {
        deltas &= static_cast<uint8_t>(~0x04);  // RI is reported on its trailing edge only
    }
    m_modem_status = static_cast<uint8_t>(inputs | (m_modem_status & 0x0f) | deltas);
    update_irq();
}

void Serial::write_modem_control(uint8_t value) {
    const bool was_loopback = loopback();
    m_modem_control = value & 0x1f;
    update_modem_status();
    if (was_loopback && !loopback()) {
        fill_soon();
    }
}

// --- state ---------------------------------------------------------------------------------------

void Serial::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    for (const uint8_t value : {m_interrupt_enable, m_fifo_control, m_line_control, m_modem_control, m_line_errors,
                                m_modem_status, m_scratch}) {
        writer.put(value);
    }
    writer.put(m_divisor);
    for (const bool flag : {m_thre_pending, m_timed_out, m_irq.level()}) {
        writer.put(static_cast<uint8_t>(flag));
    }
    writer.put(static_cast<uint8_t>(m_fifo_count));
    for (unsigned index = 0; index < k_fifo_size; ++index) {
        writer.put(index < m_fifo_count ? m_fifo[(m_fifo_first + index) % k_fifo_size] : uint8_t{0});
    }
}

void Serial::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    for (uint8_t* value : {&m_interrupt_enable, &m_fifo_control, &m_line_control, &m_modem_control, &m_line_errors,
                           &m_modem_status, &m_scratch}) {
        reader.get(*value);
    }
    m_interrupt_enable &= 0x0f;
    m_modem_control &= 0x1f;
    m_line_errors &= 0x1e;
    reader.get(m_divisor);
    clear_receiver();
    m_thre_pending = reader.get<uint8_t>() != 0;
    m_timed_out = reader.get<uint8_t>() != 0;
    m_irq.restore(reader.get<uint8_t>() != 0);
    m_fifo_count = reader.get<uint8_t>();
    for (uint8_t& byte : m_fifo) {
        reader.get(byte);
    }
    if (m_fifo_count > capacity()) {
        reader.fail("more characters wait than the FIFO holds");
        m_fifo_count = 0;
    }
    await_timeout();
    fill_soon();
}

}  // namespace skep
