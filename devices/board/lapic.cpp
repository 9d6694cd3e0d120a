// SPDX-License-Identifier: GPL-3.0-or-later
// Acceptance, priorities and completion of interrupts. Registers: lapic_registers.cpp.
#include "devices/board/lapic.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint32_t k_lvt_masked = 1U << 16;
constexpr uint32_t k_lvt_level = 1U << 15;
constexpr uint32_t k_esr_received_illegal_vector = 1U << 6;
constexpr uint64_t k_base_address = 0xfee0'0000;
constexpr uint64_t k_base_bootstrap = bit(8);
constexpr uint64_t k_base_x2apic = bit(10);
constexpr uint64_t k_base_enabled = bit(11);

DeliveryMode lvt_mode(uint32_t lvt) {
    return static_cast<DeliveryMode>(bits(lvt, 8, 3));
}

}  // namespace

int VectorSet::highest() const {
    for (int index = 7; index >= 0; --index) {
        const uint32_t word = m_words[static_cast<size_t>(index)];
        if (word != 0) {
            return index * 32 + 31 - std::countl_zero(word);
        }
    }
    return -1;
}

LocalApic::LocalApic(unsigned cpu, Clock& clock, ApicBus& bus, ProcessorSignals& signals, ExtIntSource& pic)
    : m_cpu(cpu), m_bus(bus), m_signals(signals), m_pic(pic), m_timer(clock, signals, [this] { on_timer(); }) {
    LocalApic::reset();
}

// --- life ----------------------------------------------------------------------------------------

void LocalApic::reset() {
    const std::lock_guard lock(m_mutex);
    m_base = k_base_address | k_base_enabled | (m_cpu == 0 ? k_base_bootstrap : 0);
    m_lint0_level = false;
    set_mode(Mode::xapic);
    initialise();
}

void LocalApic::initialise() {
    m_tpr = 0;
    m_spurious = 0xff;
    m_esr = 0;
    m_esr_pending = 0;
    m_icr = 0;
    m_lvt.fill(k_lvt_masked);
    if (m_cpu == 0) {
        // The board hands the bootstrap processor over in virtual wire mode, so that programs that know
        // only the 8259 run without firmware having touched the APIC.
        m_lvt[k_lvt_lint0] = static_cast<uint32_t>(DeliveryMode::ext_int) << 8;
    }
    m_irr.clear_all();
    m_isr.clear_all();
    m_tmr.clear_all();
    m_ext_int_message = false;
    if (m_mode.load() != Mode::x2apic) {
        m_ldr = 0;
    }
    m_dfr = 0xffff'ffff;
    m_timer.reset();
    Effects ignored;
    refresh(ignored);
}

void LocalApic::set_mode(Mode mode) {
    m_mode = mode;
    // 10.12.10.2: the logical id is fixed by the x2APIC id.
    m_ldr = mode == Mode::x2apic ? ((m_cpu >> 4) << 16 | 1U << (m_cpu & 15)) : 0;
    m_dfr = 0xffff'ffff;
}

void LocalApic::resume() {
    const std::lock_guard lock(m_mutex);
    m_timer.rearm();
}

void LocalApic::perform(const Effects& effects) {
    if (effects.eoi) {
        m_bus.broadcast_eoi(*effects.eoi);
    }
    if (effects.ipi) {
        send_ipi(*effects.ipi);
    }
    if (effects.nmi) {
        m_signals.nmi(m_cpu);
    }
    if (effects.interrupt) {
        m_signals.interrupt_changed(m_cpu);
    }
}

// --- the bus side --------------------------------------------------------------------------------

bool LocalApic::matches(uint32_t destination, DestinationMode mode) const {
    const Mode state = m_mode.load(std::memory_order_relaxed);
    if (destination == ApicMessage::k_everybody) {
        return state != Mode::disabled || mode == DestinationMode::physical;
    }
    if (mode == DestinationMode::physical) {
        return destination == m_cpu;  // also when disabled: INIT and SIPI still arrive
    }
    const uint32_t ldr = m_ldr.load(std::memory_order_relaxed);
    if (state == Mode::x2apic) {
        return (destination >> 16) == (ldr >> 16) && (destination & ldr & 0xffff) != 0;
    }
    if (state == Mode::disabled || destination > 0xff) {
        return false;
    }
    const uint32_t own = ldr >> 24;
    if ((m_dfr.load(std::memory_order_relaxed) >> 28) == 0xf) {  // flat model
        return (destination & own) != 0;
    }
    const bool same_cluster = (destination >> 4) == (own >> 4) || destination == 0xff;
    return same_cluster && (destination & own & 0xf) != 0;
}

void LocalApic::deliver(const ApicMessage& message) {
    Effects effects;
    switch (message.delivery_mode) {
        case DeliveryMode::fixed:
        case DeliveryMode::lowest_priority: {
            const std::lock_guard lock(m_mutex);
            accept(message.vector, message.trigger, effects);
            break;
        }
        case DeliveryMode::ext_int: {
            const std::lock_guard lock(m_mutex);
            m_ext_int_message = m_mode.load() != Mode::disabled;
            refresh(effects);
            break;
        }
        case DeliveryMode::nmi:
            effects.nmi = true;
            break;
        case DeliveryMode::init: {
            {
                const std::lock_guard lock(m_mutex);
                initialise();
            }
            m_signals.init(m_cpu);
            break;
        }
        case DeliveryMode::startup:
            m_signals.startup(m_cpu, message.vector);
            break;
        case DeliveryMode::smi:
        case DeliveryMode::reserved:
            break;
    }
    perform(effects);
}

void LocalApic::accept(uint8_t vector, TriggerMode trigger, Effects& effects) {
    if (m_mode.load() == Mode::disabled || !software_enabled()) {
        return;
    }
    if (vector < 16) {
        report_error(k_esr_received_illegal_vector, effects);
        return;
    }
    m_irr.set(vector);
    if (trigger == TriggerMode::level) {
        m_tmr.set(vector);
    } else {
        m_tmr.clear(vector);
    }
    refresh(effects);
}

void LocalApic::set_lint0(bool level) {
    Effects effects;
    {
        const std::lock_guard lock(m_mutex);
        const bool rising = level && !m_lint0_level;
        m_lint0_level = level;
        if (rising && m_mode.load() != Mode::disabled && lvt_mode(m_lvt[k_lvt_lint0]) != DeliveryMode::ext_int) {
            fire_lvt(k_lvt_lint0, effects);
        }
        refresh(effects);
    }
    perform(effects);
}

void LocalApic::fire_lvt(unsigned entry, Effects& effects) {
    const uint32_t lvt = m_lvt[entry];
    if ((lvt & k_lvt_masked) != 0) {
        return;
    }
    // The timer's and the error entry's mode bits are reserved: they are always fixed.
    const DeliveryMode mode = entry == k_lvt_timer || entry == k_lvt_error ? DeliveryMode::fixed : lvt_mode(lvt);
    if (mode == DeliveryMode::fixed) {
        const bool level = (lvt & k_lvt_level) != 0 && entry == k_lvt_lint0;
        accept(static_cast<uint8_t>(lvt), level ? TriggerMode::level : TriggerMode::edge, effects);
    } else if (mode == DeliveryMode::nmi) {
        effects.nmi = true;
    }
}

void LocalApic::report_error(uint32_t esr_bit, Effects& effects) {
    const bool known = (m_esr_pending & esr_bit) != 0;
    m_esr_pending |= esr_bit;
    if (known || static_cast<uint8_t>(m_lvt[k_lvt_error]) < 16) {
        return;  // told before; or the error entry itself holds an illegal vector
    }
    fire_lvt(k_lvt_error, effects);
}

void LocalApic::on_timer() {
    Effects effects;
    {
        const std::lock_guard lock(m_mutex);
        if (m_timer.take_expired()) {
            fire_lvt(k_lvt_timer, effects);
        }
    }
    perform(effects);
}

// --- priorities ----------------------------------------------------------------------------------

uint8_t LocalApic::processor_priority() const {
    const auto in_service = static_cast<uint32_t>(std::max(m_isr.highest(), 0));
    // 10.8.3.1: the task priority with its sub-class, or the class in service.
    return static_cast<uint8_t>((m_tpr & 0xf0) >= (in_service & 0xf0) ? m_tpr : in_service & 0xf0);
}

bool LocalApic::ext_int_wired() const {
    if (m_mode.load() == Mode::disabled) {
        return true;  // the pin is the plain INTR pin then (10.4.3)
    }
    const uint32_t lvt = m_lvt[k_lvt_lint0];
    return (lvt & k_lvt_masked) == 0 && lvt_mode(lvt) == DeliveryMode::ext_int;
}

bool LocalApic::ext_int_waiting() const {
    return m_ext_int_message || (m_lint0_level && ext_int_wired());
}

void LocalApic::refresh(Effects& effects) {
    const uint8_t priority = processor_priority();
    const bool enabled = m_mode.load() != Mode::disabled;
    const int request = enabled ? m_irr.highest() : -1;
    const bool pending = ext_int_waiting() || (request >> 4) > (priority >> 4);
    effects.interrupt |= pending && !m_pending.load(std::memory_order_relaxed);
    m_pending.store(pending, std::memory_order_release);
    m_accepting.store(enabled && software_enabled(), std::memory_order_release);
    const int busiest = std::max({request, m_isr.highest(), static_cast<int>(m_tpr)});
    m_arbitration.store(static_cast<uint8_t>(busiest), std::memory_order_relaxed);
}

uint8_t LocalApic::acknowledge_interrupt() {
    {
        const std::lock_guard lock(m_mutex);
        Effects ignored;
        const int request = m_mode.load() == Mode::disabled ? -1 : m_irr.highest();
        const bool local = (request >> 4) > (processor_priority() >> 4);
        if (local && !ext_int_waiting()) {
            const auto vector = static_cast<uint8_t>(request);
            m_irr.clear(vector);
            m_isr.set(vector);
            refresh(ignored);
            return vector;
        }
        const bool from_8259 = ext_int_waiting() || ext_int_wired();
        m_ext_int_message = false;
        refresh(ignored);
        if (!from_8259) {
            return static_cast<uint8_t>(m_spurious);  // the request went away (10.9)
        }
    }
    return m_pic.acknowledge();
}

uint8_t LocalApic::task_priority() {
    const std::lock_guard lock(m_mutex);
    return static_cast<uint8_t>(m_tpr >> 4);
}

void LocalApic::set_task_priority(uint8_t cr8) {
    Effects effects;
    {
        const std::lock_guard lock(m_mutex);
        m_tpr = (cr8 & 0xfU) << 4;
        refresh(effects);
    }
    perform(effects);
}

void LocalApic::write_eoi(Effects& effects) {
    const int highest = m_isr.highest();
    if (highest < 0) {
        return;
    }
    const auto vector = static_cast<uint8_t>(highest);
    m_isr.clear(vector);
    if (m_tmr.has(vector)) {
        effects.eoi = vector;
        const uint32_t lint0 = m_lvt[k_lvt_lint0];
        if (m_lint0_level && (lint0 & k_lvt_level) != 0 && static_cast<uint8_t>(lint0) == vector) {
            fire_lvt(k_lvt_lint0, effects);  // the level is still there
        }
    }
    refresh(effects);
}

// --- state ---------------------------------------------------------------------------------------

void LocalApic::save(StateWriter& writer) const {
    const std::lock_guard lock(m_mutex);
    writer.section(name(), k_state_version);
    writer.put(m_base);
    writer.put(m_tpr);
    writer.put(m_spurious);
    writer.put(m_esr);
    writer.put(m_esr_pending);
    writer.put(m_icr);
    for (const uint32_t lvt : m_lvt) {
        writer.put(lvt);
    }
    for (unsigned index = 0; index < 8; ++index) {
        writer.put(m_irr.word(index));
        writer.put(m_isr.word(index));
        writer.put(m_tmr.word(index));
    }
    writer.put(static_cast<uint8_t>(m_lint0_level));
    writer.put(static_cast<uint8_t>(m_ext_int_message));
    writer.put(m_ldr.load());
    writer.put(m_dfr.load());
    m_timer.save(writer);
}

void LocalApic::load(StateReader& reader) {
    const std::lock_guard lock(m_mutex);
    reader.section(name(), k_state_version);
    reader.get(m_base);
    const bool x2apic = (m_base & k_base_x2apic) != 0;
    const bool enabled = (m_base & k_base_enabled) != 0;
    if (x2apic && !enabled) {
        reader.fail("IA32_APIC_BASE is impossible");
    }
    set_mode(!enabled ? Mode::disabled : x2apic ? Mode::x2apic : Mode::xapic);
    m_tpr = reader.get<uint32_t>() & 0xff;
    m_spurious = reader.get<uint32_t>() & 0x3ff;
    reader.get(m_esr);
    reader.get(m_esr_pending);
    reader.get(m_icr);
    for (uint32_t& lvt : m_lvt) {
        reader.get(lvt);
    }
    for (unsigned index = 0; index < 8; ++index) {
        m_irr.set_word(index, reader.get<uint32_t>());
        m_isr.set_word(index, reader.get<uint32_t>());
        m_tmr.set_word(index, reader.get<uint32_t>());
    }
    m_lint0_level = reader.get<uint8_t>() != 0;
    m_ext_int_message = reader.get<uint8_t>() != 0;
    const auto ldr = reader.get<uint32_t>();
    const auto dfr = reader.get<uint32_t>();
    if (!x2apic) {
        m_ldr = ldr & 0xff00'0000;
        m_dfr = dfr | 0x0fff'ffff;
    }
    m_timer.load(reader);
    Effects ignored;
    refresh(ignored);
}

}  // namespace skep
