// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/acpi_pm.hpp"

#include <algorithm>

#include "devices/board/time_scale.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;

// Offsets in the block.
constexpr unsigned k_pm1_sts = 0x00;
constexpr unsigned k_pm1_en = 0x02;
constexpr unsigned k_pm1_cnt = 0x04;
constexpr unsigned k_pm1_tmr = 0x08;
constexpr unsigned k_gpe0_sts = 0x20;
constexpr unsigned k_gpe0_en = 0x28;
constexpr unsigned k_smi_en = 0x30;
constexpr unsigned k_smi_sts = 0x34;

constexpr uint16_t k_tmr = 1U << 0;  // in PM1_STS and PM1_EN
constexpr uint16_t k_power_button = 1U << 8;
constexpr uint16_t k_wake = 1U << 15;
constexpr uint16_t k_pm1_events = 0x0521;  // TMR, GBL, PWRBTN, RTC: what may raise the SCI
constexpr uint16_t k_sci_en = 1U << 0;     // in PM1_CNT
constexpr uint8_t k_slp_en_high = 0x20;    // bit 13, in its high byte
constexpr uint8_t k_smi_en_preset = 0x20;  // APMC_EN

constexpr uint8_t k_apm_acpi_enable = 0x02;  // what the FADT names, as on other Q35 machines
constexpr uint8_t k_apm_acpi_disable = 0x03;

}  // namespace

AcpiPm::AcpiPm(IoSpace& ports, Clock& clock, MachineRequests& machine, IrqLine sci)
    : m_ports(ports), m_clock(clock), m_machine(machine), m_sci(sci) {
    m_timer = clock.make_timer([this] {
        const std::lock_guard lock(m_gate);
        note_timer();
        update_sci();
        schedule();
    });
    m_apm_claim = ports.claim({.start = 0xb2, .size = 2, .max_width = 1}, m_apm_handler, m_gate);
    AcpiPm::reset();
}

void AcpiPm::reset() {
    const std::lock_guard lock(m_gate);
    m_registers.fill(0);
    m_registers[k_smi_en] = k_smi_en_preset;
    m_apm = {};
    m_seen_toggles = timer() >> 23;
    update_sci();
    schedule();
}

void AcpiPm::set_base(uint16_t base, bool enabled) {
    const std::lock_guard lock(m_gate);
    const auto aligned = static_cast<uint16_t>(align_down(base, k_block_size));
    if (aligned == m_base && enabled == m_enabled && m_claim.active() == enabled) {
        return;
    }
    m_base = aligned;
    m_enabled = enabled;
    m_claim.release();
    if (enabled) {
        m_claim = m_ports.claim({.start = m_base, .size = k_block_size, .max_width = 4}, *this, m_gate);
    }
}

uint64_t AcpiPm::timer() const {
    return ticks_of(m_clock.now(), k_timer_hertz);
}

void AcpiPm::note_timer() {
    const uint64_t toggles = timer() >> 23;
    if (toggles != m_seen_toggles) {
        m_seen_toggles = toggles;
        m_registers[k_pm1_sts] |= k_tmr;
    }
}

void AcpiPm::press_power_button() {
    const std::lock_guard lock(m_gate);
    m_registers[k_pm1_sts + 1] |= k_power_button >> 8;
    update_sci();
}

void AcpiPm::raise_gpe(unsigned number) {
    if (number >= 64) {
        return;
    }
    const std::lock_guard lock(m_gate);
    m_registers[k_gpe0_sts + number / 8] |= static_cast<uint8_t>(1U << (number % 8));
    update_sci();
}

void AcpiPm::update_sci() {
    const auto status = load_le<uint16_t>(&m_registers[k_pm1_sts]);
    const auto enable = load_le<uint16_t>(&m_registers[k_pm1_en]);
    const auto gpe_status = load_le<uint64_t>(&m_registers[k_gpe0_sts]);
    const auto gpe_enable = load_le<uint64_t>(&m_registers[k_gpe0_en]);
    // SCI_EN is not asked: the other choice would be an SMI, and enable bits are only set by an ACPI system.
    m_sci.set((status & enable & k_pm1_events) != 0 || (gpe_status & gpe_enable) != 0);
}

void AcpiPm::schedule() {
    const bool wanted = (m_registers[k_pm1_en] & k_tmr) != 0 && (m_registers[k_pm1_sts] & k_tmr) == 0;
    if (wanted) {
        m_timer->arm(std::max(time_of((m_seen_toggles + 1) << 23, k_timer_hertz), m_clock.now()));
    } else {
        m_timer->disarm();
    }
}

uint64_t AcpiPm::io_read(uint64_t offset, unsigned size) {
    if (offset == k_pm1_tmr) {
        return bits(timer(), 0, std::min(size * 8, 24U));
    }
    note_timer();
    store_le(&m_registers[k_pm1_tmr], static_cast<uint32_t>(bits(timer(), 0, 24)));
    uint64_t value = 0;
    for (unsigned index = 0; index < size; ++index) {
        value |= uint64_t{m_registers[(offset + index) % k_block_size]} << (index * 8);
    }
    return value;
}

void AcpiPm::io_write(uint64_t offset, unsigned size, uint64_t value) {
    note_timer();
    for (unsigned index = 0; index < size; ++index) {
        write_byte(static_cast<unsigned>((offset + index) % k_block_size), static_cast<uint8_t>(value >> (index * 8)));
    }
    update_sci();
    schedule();
}

void AcpiPm::write_byte(unsigned offset, uint8_t value) {
    uint8_t& reg = m_registers[offset];
    const bool write_one_to_clear = (offset >= k_pm1_sts && offset < k_pm1_en) ||
                                    (offset >= k_gpe0_sts && offset < k_gpe0_en) ||
                                    (offset >= k_smi_sts && offset < k_smi_sts + 4);
    if (write_one_to_clear) {
        reg = static_cast<uint8_t>(reg & ~value);
        return;
    }
    if (offset >= k_pm1_tmr && offset < k_pm1_tmr + 4) {
        return;  // read-only
    }
    switch (offset) {
        case k_pm1_en:
            reg = value & 0x21;
            break;
        case k_pm1_en + 1:
            reg = value & 0x45;
            break;
        case k_pm1_cnt:
            reg = value & 0x03;
            break;  // SCI_EN, BM_RLD; GBL_RLS is write-only
        case k_pm1_cnt + 1:
            reg = value & 0x1c;  // SLP_TYP; SLP_EN reads as zero
            if ((value & k_slp_en_high) != 0) {
                sleep();
            }
            break;
        case k_smi_en:
            reg = value | k_smi_en_preset;
            break;
        default:
            reg = value;
    }
}

void AcpiPm::sleep() {
    const unsigned type = m_registers[k_pm1_cnt + 1] >> 2;
    switch (type) {
        case 0:  // what firmware writes on other Q35 machines
        case 6:  // S4: the memory image is on the guest's own disk
        case 7:  // S5 of ICH9
            m_machine.request(MachineRequest::power_off, 0, "the guest powered itself off");
            break;
        default:
            m_errors.report("sleep type {} is not offered", type);
            m_registers[k_pm1_sts + 1] |= k_wake >> 8;  // wakes at once
    }
}

void AcpiPm::write_apm(unsigned index, uint8_t value) {
    m_apm[index] = value;
    if (index == 0 && value == k_apm_acpi_enable) {
        m_registers[k_pm1_cnt] |= k_sci_en;
    } else if (index == 0 && value == k_apm_acpi_disable) {
        m_registers[k_pm1_cnt] &= static_cast<uint8_t>(~k_sci_en);
    }
}

void AcpiPm::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    for (unsigned offset = 0; offset < k_block_size; ++offset) {
        const bool is_timer = offset >= k_pm1_tmr && offset < k_pm1_tmr + 4;
        writer.put(is_timer ? uint8_t{0} : m_registers[offset]);
    }
    writer.put(m_apm[0]);
    writer.put(m_apm[1]);
    writer.put(m_seen_toggles);
    writer.put(static_cast<uint8_t>(m_sci.level()));
}

void AcpiPm::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    for (uint8_t& value : m_registers) {
        reader.get(value);
    }
    m_registers[k_smi_en] |= k_smi_en_preset;
    reader.get(m_apm[0]);
    reader.get(m_apm[1]);
    m_seen_toggles = std::min(reader.get<uint64_t>(), timer() >> 23);
    m_sci.restore(reader.get<uint8_t>() != 0);
    schedule();
}

}  // namespace skep
