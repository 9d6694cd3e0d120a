// SPDX-License-Identifier: GPL-3.0-or-later
// The PCI display adapter that firmware, boot loaders and every system know: VGA with the Bochs dispi, as QEMU's "stdvga"
// (QEMU docs/specs/standard-vga): 1234:1111, BAR 0 the frame buffer, BAR 2 registers, an option ROM with the VGA BIOS.
#pragma once

#include "devices/video/vga_function.hpp"

namespace skep {

class VgaAdapter final : public VgaFunction<PciFunction> {
  public:
    // The screen shows this adapter until it is destroyed. Screen and log outlive it.
    VgaAdapter(DeviceContext& context, PciAddress address, const VgaConfig& config, WriteLog& log, Screen& screen);
    ~VgaAdapter() override;

  private:
    Screen& m_screen;
};

}  // namespace skep
