// SPDX-License-Identifier: GPL-3.0-or-later
// The Q35 DRAM controller 8086:29c0 at 00:00.0 (Intel 3 Series chipset data sheet 319966, chapter 5): PAM, SMRAM and
// PCIEXBAR, the registers that firmware programs.
#pragma once

#include "devices/pci/pci_function.hpp"
#include "devices/pci/shadow_memory.hpp"

namespace skep {

// Takes the legacy video window 0xa0000-0xbffff out of the memory map: it belongs to a display device or nobody.
class Q35HostBridge final : public PciFunction {
  public:
    // rom: the firmware below 1 MiB.
    Q35HostBridge(DeviceContext& context, ShadowRom rom);

    void reset() override;
    void load(StateReader& reader) override;

  private:
    void config_written(unsigned offset, unsigned size) override;
    void apply_pam();
    void apply_pciexbar();
    void apply_smram_lock();

    ShadowMemory m_shadow;
};

}  // namespace skep
