// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/ich9_lpc.hpp"

namespace skep {
namespace {

constexpr unsigned k_pmbase = 0x40;
constexpr unsigned k_acpi_cntl = 0x44;
constexpr unsigned k_pirqa_rout = 0x60;  // A-D, then E-H eight bytes on
constexpr unsigned k_sirq_cntl = 0x64;
constexpr unsigned k_pirqe_rout = 0x68;
constexpr unsigned k_lpc_i_o_dec = 0x80;
constexpr unsigned k_lpc_en = 0x82;
constexpr unsigned k_gen_pmcon_1 = 0xa0;
constexpr unsigned k_gen_pmcon_3 = 0xa4;
constexpr unsigned k_bios_cntl = 0xdc;
constexpr unsigned k_rcba = 0xf0;

constexpr uint32_t k_pmbase_mask = 0xff80;
constexpr uint8_t k_acpi_en = 0x80;
constexpr uint8_t k_irq_not_routed = 0x80;
constexpr uint16_t k_routable_irqs = 0xdef8;  // 3-7, 9-12, 14, 15

constexpr PciIdentity k_identity{.vendor = 0x8086, .device = 0x2918, .class_code = 0x060100, .revision = 2};

constexpr unsigned rout_register(unsigned pirq) { return pirq < 4 ? k_pirqa_rout + pirq : k_pirqe_rout + pirq - 4; }

}  // namespace

Ich9Lpc::Ich9Lpc(DeviceContext& context) : PciFunction(context, "ich9-lpc", {0x1f, 0}, k_identity) {
    // An LPC bridge always decodes and masters (13.1.3): these are what firmware looks for before using COM1.
    define16(pci::k_command, pci::k_command_io | pci::k_command_memory | pci::k_command_bus_master, pci::k_command_serr);
    define32(k_pmbase, 1, k_pmbase_mask);
    define8(k_acpi_cntl, 0, 0x87);
    for (unsigned pirq = 0; pirq < k_pirq_count; ++pirq) {
        define8(rout_register(pirq), k_irq_not_routed, 0x8f);
    }
    define8(k_sirq_cntl, 0x10, 0xff);
    define16(k_lpc_i_o_dec, 0, 0x1377);
    define16(k_lpc_en, 0, 0x3f0f);
    define16(k_gen_pmcon_1, 0, 0x05ff);
    define8(k_gen_pmcon_3, 0, 0xff);
    define8(k_bios_cntl, 0, 0x1f);
    define32(k_rcba, 0, 0xffff'c001);
}

std::optional<unsigned> Ich9Lpc::route(unsigned pirq) const {
    const uint8_t value = config8(rout_register(pirq));
    const unsigned irq = value & 0xf;
    if ((value & k_irq_not_routed) != 0 || (k_routable_irqs >> irq & 1) == 0) {
        return std::nullopt;
    }
    return irq;
}

void Ich9Lpc::apply_pm_base() {
    const auto base = static_cast<uint16_t>(config32(k_pmbase) & k_pmbase_mask);
    const PmBlock now{base, (config8(k_acpi_cntl) & k_acpi_en) != 0 && base != 0};
    if (m_pm_block != now) {
        m_pm_block = now;
        if (on_pm_base) {
            on_pm_base(now.base, now.enabled);
        }
    }
}

void Ich9Lpc::apply_routes() {
    for (unsigned pirq = 0; pirq < k_pirq_count; ++pirq) {
        const std::optional<unsigned> irq = route(pirq);
        if (!m_routes_told || irq != m_routes[pirq]) {
            m_routes[pirq] = irq;
            if (on_pirq_route) {
                on_pirq_route(pirq, irq);
            }
        }
    }
    m_routes_told = true;
}

void Ich9Lpc::config_written(unsigned offset, unsigned size) {
    if (offset < k_acpi_cntl + 1 && offset + size > k_pmbase) {
        apply_pm_base();
    }
    if (offset < k_pirqe_rout + 4 && offset + size > k_pirqa_rout) {
        apply_routes();
    }
}

void Ich9Lpc::reset() {
    PciFunction::reset();
    apply_pm_base();
    apply_routes();
}

void Ich9Lpc::load(StateReader& reader) {
    PciFunction::load(reader);
    // The board restores its own registers: tell it everything anew.
    m_pm_block.reset();
    m_routes_told = false;
    apply_pm_base();
    apply_routes();
}

}  // namespace skep
