// SPDX-License-Identifier: GPL-3.0-or-later
// The mode in which a directly booted kernel finds the display: where no VGA BIOS runs there are no fonts for text, so it is
// a linear frame buffer, as a boot loader with a graphical menu leaves it.
#pragma once

#include "devices/pci/pci_function.hpp"
#include "vmm/boot/linux_loader.hpp"
#include "vmm/bus/io_space.hpp"

namespace skep {

class PciBus;

// After the function's BARs were placed.
BootScreen set_boot_mode(IoSpace& ports, PciBus& bus, PciAddress display);

}  // namespace skep
