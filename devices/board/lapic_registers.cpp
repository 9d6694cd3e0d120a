// SPDX-License-Identifier: GPL-3.0-or-later
// The local APIC's registers, through the xAPIC window and the x2APIC MSRs (Intel SDM 3A, 10.4.1 and 10.12.1).
#include <algorithm>

#include "devices/board/lapic.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

// Register numbers: window offset / 16 = MSR - 0x800.
enum Register : uint32_t {
    k_id = 0x02,
    k_version = 0x03,
    k_task_priority = 0x08,
    k_arbitration_priority = 0x09,
    k_processor_priority = 0x0a,
    k_eoi = 0x0b,
    k_remote_read = 0x0c,
    k_logical_destination = 0x0d,
    k_destination_format = 0x0e,
    k_spurious = 0x0f,
    k_isr = 0x10,
    k_tmr = 0x18,
    k_irr = 0x20,
    k_error_status = 0x28,
    k_icr_low = 0x30,
    k_icr_high = 0x31,
    k_lvt_first = 0x32,
    k_lvt_last = 0x37,
    k_initial_count = 0x38,
    k_current_count = 0x39,
    k_divide = 0x3e,
    k_self_ipi = 0x3f,
};

constexpr uint32_t k_msr_apic_base = 0x1b;
constexpr uint32_t k_msr_tsc_deadline = 0x6e0;
constexpr uint32_t k_msr_x2apic = 0x800;
constexpr uint32_t k_version_value = 0x14 | 5U << 16;
constexpr uint32_t k_lvt_masked = 1U << 16;
constexpr uint32_t k_esr_send_illegal_vector = 1U << 5;
constexpr uint32_t k_esr_illegal_register = 1U << 7;
constexpr uint32_t k_icr_writable = 0x000c'cfff;
constexpr uint64_t k_base_x2apic = bit(10);
constexpr uint64_t k_base_enabled = bit(11);
constexpr uint64_t k_base_writable = 0x000f'ffff'ffff'fd00;  // bits 8, 10, 11 and a 52-bit address
// Writable bits of the LVT entries: timer, thermal, performance, LINT0, LINT1, error.
constexpr uint32_t k_lvt_writable[] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

bool is_readable_x2apic(uint32_t number) {
    switch (number) {
        case k_id:
        case k_version:
        case k_task_priority:
        case k_processor_priority:
        case k_logical_destination:
        case k_spurious:
        case k_error_status:
        case k_icr_low:
        case k_initial_count:
        case k_current_count:
        case k_divide:
            return true;
        default:
            return (number >= k_isr && number < k_error_status) || (number >= k_lvt_first && number <= k_lvt_last);
    }
}

}  // namespace

// --- MSRs ----------------------------------------------------------------------------------------

std::optional<uint64_t> LocalApic::read_msr(uint32_t index) {
    Effects effects;
    std::optional<uint64_t> value;
    {
        const std::lock_guard lock(m_mutex);
        const uint32_t number = index - k_msr_x2apic;
        if (index == k_msr_apic_base) {
            value = m_base;
        } else if (index == k_msr_tsc_deadline) {
            value = m_timer.deadline();
        } else if (number < 0x100 && m_mode.load() == Mode::x2apic && is_readable_x2apic(number)) {
            value = number == k_icr_low ? m_icr : read_register(number, effects);
        }
    }
    perform(effects);
    return value;
}

bool LocalApic::write_msr(uint32_t index, uint64_t value) {
    Effects effects;
    bool allowed = false;
    {
        const std::lock_guard lock(m_mutex);
        const uint32_t number = index - k_msr_x2apic;
        if (index == k_msr_apic_base) {
            allowed = write_base(value, effects);
        } else if (index == k_msr_tsc_deadline) {
            m_timer.set_deadline(value);
            allowed = true;
        } else if (number < 0x100 && m_mode.load() == Mode::x2apic) {
            allowed = write_x2apic(number, value, effects);
        }
    }
    perform(effects);
    return allowed;
}

bool LocalApic::write_base(uint64_t value, Effects& effects) {
    const bool enable = (value & k_base_enabled) != 0;
    const bool x2apic = (value & k_base_x2apic) != 0;
    const Mode from = m_mode.load();
    const Mode to = !enable ? Mode::disabled : x2apic ? Mode::x2apic : Mode::xapic;
    // 10.12.5: x2APIC is entered from xAPIC only and left to "disabled" only.
    const bool illegal = (value & ~k_base_writable) != 0 || (x2apic && !enable) ||
                         (from == Mode::disabled && to == Mode::x2apic) || (from == Mode::x2apic && to == Mode::xapic);
    if (illegal) {
        return false;
    }
    m_base = value;
    if (from != to) {
        set_mode(to);
        if (to == Mode::disabled) {
            initialise();  // a later enabling finds the state after power-up
        }
    }
    refresh(effects);
    return true;
}

bool LocalApic::write_x2apic(uint32_t number, uint64_t value, Effects& effects) {
    if (number == k_icr_low) {
        // Destination and the defined bits; delivery status does not exist here.
        if ((value & 0xffff'ffff & ~uint64_t{k_icr_writable}) != 0) {
            return false;
        }
        m_icr = value;
        effects.ipi = value;
        return true;
    }
    const bool lvt = number >= k_lvt_first && number <= k_lvt_last;
    uint64_t writable = 0;
    switch (number) {
        case k_task_priority:
        case k_self_ipi:
            writable = 0xff;
            break;
        case k_spurious:
            writable = 0x3ff;
            break;
        case k_initial_count:
            writable = 0xffff'ffff;
            break;
        case k_divide:
            writable = 0xb;
            break;
        case k_eoi:
        case k_error_status:
            break;  // only zero
        default:
            if (!lvt) {
                return false;  // read-only or no register
            }
            // Delivery status and remote IRR are read-only, not reserved.
            writable = k_lvt_writable[number - k_lvt_first] | 0x5000;
    }
    if ((value & ~writable) != 0) {
        return false;
    }
    if (number == k_self_ipi) {
        const auto vector = static_cast<uint8_t>(value);
        if (vector < 16) {
            report_error(k_esr_send_illegal_vector, effects);
        } else {
            accept(vector, TriggerMode::edge, effects);
        }
        return true;
    }
    write_register(number, static_cast<uint32_t>(value), effects);
    return true;
}

// --- the window ----------------------------------------------------------------------------------

std::optional<uint64_t> LocalApic::window() {
    if (m_mode.load(std::memory_order_relaxed) != Mode::xapic) {
        return std::nullopt;
    }
    const std::lock_guard lock(m_mutex);
    return align_down(m_base, 4096);
}

uint32_t LocalApic::window_read(uint32_t offset) {
    Effects effects;
    uint32_t value = 0;
    {
        const std::lock_guard lock(m_mutex);
        if (m_mode.load() == Mode::xapic && offset % 16 == 0) {
            value = read_register((offset >> 4) & 0xff, effects);
        }
    }
    perform(effects);
    return value;
}

void LocalApic::window_write(uint32_t offset, uint32_t value) {
    Effects effects;
    {
        const std::lock_guard lock(m_mutex);
        if (m_mode.load() == Mode::xapic && offset % 16 == 0) {
            write_register((offset >> 4) & 0xff, value, effects);
        }
    }
    perform(effects);
}

// --- registers -----------------------------------------------------------------------------------

uint32_t LocalApic::read_register(uint32_t number, Effects& effects) {
    if (number >= k_isr && number < k_error_status) {
        const VectorSet& set = number < k_tmr ? m_isr : number < k_irr ? m_tmr : m_irr;
        return set.word(number % 8);
    }
    if (number >= k_lvt_first && number <= k_lvt_last) {
        return m_lvt[number - k_lvt_first];
    }
    switch (number) {
        case k_id:
            return m_mode.load() == Mode::x2apic ? m_cpu : m_cpu << 24;
        case k_version:
            return k_version_value;
        case k_task_priority:
            return m_tpr;
        case k_arbitration_priority:
            return m_arbitration.load();
        case k_processor_priority:
            return processor_priority();
        case k_eoi:
        case k_remote_read:
            return 0;
        case k_logical_destination:
            return m_ldr.load();
        case k_destination_format:
            return m_dfr.load();
        case k_spurious:
            return m_spurious;
        case k_error_status:
            return m_esr;
        case k_icr_low:
            return static_cast<uint32_t>(m_icr);
        case k_icr_high:
            return static_cast<uint32_t>(m_icr >> 32);
        case k_initial_count:
            return m_timer.initial_count();
        case k_current_count:
            return m_timer.current_count();
        case k_divide:
            return m_timer.divide();
        default:
            report_error(k_esr_illegal_register, effects);
            return 0;
    }
}

void LocalApic::write_register(uint32_t number, uint32_t value, Effects& effects) {
    if (number >= k_lvt_first && number <= k_lvt_last) {
        write_lvt(number - k_lvt_first, value, effects);
        return;
    }
    switch (number) {
        case k_task_priority:
            m_tpr = value & 0xff;
            refresh(effects);
            break;
        case k_eoi:
            write_eoi(effects);
            break;
        case k_logical_destination:
            m_ldr = value & 0xff00'0000;
            break;
        case k_destination_format:
            m_dfr = value | 0x0fff'ffff;
            break;
        case k_spurious:
            write_spurious(value);
            refresh(effects);
            break;
        case k_error_status:
            m_esr = m_esr_pending;
            m_esr_pending = 0;
            break;
        case k_icr_low:
            m_icr = (m_icr & ~uint64_t{0xffff'ffff}) | (value & k_icr_writable);
            effects.ipi = m_icr;
            break;
        case k_icr_high:
            m_icr = (m_icr & 0xffff'ffff) | uint64_t{value & 0xff00'0000} << 32;
            break;
        case k_initial_count:
            m_timer.set_initial_count(value);
            break;
        case k_divide:
            m_timer.set_divide(value);
            break;
        case k_id:  // read-only, as in every processor since Nehalem
        case k_version:
        case k_arbitration_priority:
        case k_processor_priority:
        case k_current_count:
            break;
        default:
            report_error(k_esr_illegal_register, effects);
    }
}

void LocalApic::write_spurious(uint32_t value) {
    m_spurious = value & 0x3ff;  // bit 9, focus checking, is storage
    if (!software_enabled()) {
        for (uint32_t& lvt : m_lvt) {
            lvt |= k_lvt_masked;  // 10.4.7.2
        }
    }
}

void LocalApic::write_lvt(unsigned entry, uint32_t value, Effects& effects) {
    uint32_t accepted = value & k_lvt_writable[entry];
    if (!software_enabled()) {
        accepted |= k_lvt_masked;
    }
    m_lvt[entry] = accepted;
    if (entry == k_lvt_timer) {
        const auto mode = std::min<uint64_t>(bits(accepted, 17, 2), 2);
        m_timer.set_mode(static_cast<ApicTimer::Mode>(mode));
    }
    refresh(effects);
}

void LocalApic::send_ipi(uint64_t icr) {
    ApicMessage message;
    const Mode mode = m_mode.load();
    message.delivery_mode = static_cast<DeliveryMode>(bits(icr, 8, 3));
    message.destination_mode = (icr & bit(11)) != 0 ? DestinationMode::logical : DestinationMode::physical;
    message.vector = static_cast<uint8_t>(icr);
    message.destination = static_cast<uint32_t>(mode == Mode::x2apic ? icr >> 32 : icr >> 56);
    if (mode != Mode::x2apic && message.destination == 0xff && message.destination_mode == DestinationMode::physical) {
        message.destination = ApicMessage::k_everybody;
    }
    const bool asserted = (icr & bit(14)) != 0;
    const bool level = (icr & bit(15)) != 0;
    if (message.delivery_mode == DeliveryMode::init && level && !asserted) {
        return;  // INIT level de-assert: only the arbitration ids of old, 10.6.1
    }
    const bool has_vector =
        message.delivery_mode == DeliveryMode::fixed || message.delivery_mode == DeliveryMode::lowest_priority;
    if (has_vector && message.vector < 16) {
        Effects effects;
        {
            const std::lock_guard lock(m_mutex);
            report_error(k_esr_send_illegal_vector, effects);
        }
        perform(effects);
        return;
    }
    switch (bits(icr, 18, 2)) {
        case 0:
            m_bus.send(message);
            break;
        case 1:
            if (message.delivery_mode == DeliveryMode::fixed) {
                deliver(message);
            }
            break;
        case 2:
            m_bus.send_to_all(message, nullptr);
            break;
        default:
            m_bus.send_to_all(message, this);
            break;
    }
}

}  // namespace skep
