// SPDX-License-Identifier: GPL-3.0-or-later
// The ICH9 LPC bridge 8086:2918 at 00:1f.0 (Intel ICH9 data sheet 316972, chapter 13): where the ACPI registers lie
// and which ISA interrupt each PIRQ reaches.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "devices/pci/intx.hpp"
#include "devices/pci/pci_function.hpp"

namespace skep {

class Ich9Lpc final : public PciFunction {
  public:
    explicit Ich9Lpc(DeviceContext& context);

    // What the board must do when the guest (or a reset, or a restored state) changes these; set before the first
    // reset(). Called on the thread of the change, with this function's gate and perhaps the bus' held.
    //   base: I/O port of the ACPI register block (128 bytes); enabled: ACPI_CNTL.ACPI_EN and a base other than zero.
    std::function<void(uint16_t base, bool enabled)> on_pm_base;
    //   pirq: 0..7; isa_irq: 3-7, 9-12, 14, 15, or nothing when the PIRQ does not reach the 8259s.
    std::function<void(unsigned pirq, std::optional<unsigned> isa_irq)> on_pirq_route;

    void reset() override;
    void load(StateReader& reader) override;

  private:
    void config_written(unsigned offset, unsigned size) override;
    [[nodiscard]] std::optional<unsigned> route(unsigned pirq) const;
    void apply_pm_base();
    void apply_routes();

    struct PmBlock {
        uint16_t base = 0;
        bool enabled = false;
        bool operator==(const PmBlock&) const = default;
    };
    std::optional<PmBlock> m_pm_block;  // as last told; nothing: never told
    std::array<std::optional<unsigned>, k_pirq_count> m_routes{};
    bool m_routes_told = false;
};

}  // namespace skep
