// SPDX-License-Identifier: GPL-3.0-or-later
// BAR addresses for a direct boot, where no firmware hands them out.
#pragma once

namespace skep {

class PciBus;

// Gives every BAR of bus 0 an address (memory from 0xc0000000, I/O from 0xc000) and enables decoding. After every
// reset, before the first instruction.
void assign_pci_resources(PciBus& bus);

}  // namespace skep
