// SPDX-License-Identifier: GPL-3.0-or-later
// Which wire a PCI function's INTA..INTD pulls: the one rule shared by the bus, the ACPI _PRT and the MP table.
#pragma once

#include <cstdint>

namespace skep {

inline constexpr unsigned k_pirq_count = 8;       // PIRQA..PIRQH of the ICH9
inline constexpr unsigned k_first_pirq_gsi = 16;  // PIRQA's I/O APIC input

// PIRQ index (0 = PIRQA) of pin 0..3 (INTA..INTD) of a slot (device number) on bus 0.
//
// In 8259 mode the ICH9's PIRQ route registers say which ISA IRQ a PIRQ reaches; SeaBIOS gives PIRQA-D and PIRQE-H
// the same four values 10,10,11,11 and writes the interrupt line registers of slots 0-24 by (slot + pin) & 3, which
// agrees with this rule for every slot there. For slots 25-31 it takes the pin alone: functions of slot 31 use INTB
// or INTD (as the ICH9's SATA does by default), with which both rules name the same IRQ.
constexpr unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + pin) % k_pirq_count; }

constexpr unsigned intx_gsi(unsigned slot, unsigned pin) { return k_first_pirq_gsi + pirq_of(slot, pin); }

}  // namespace skep
