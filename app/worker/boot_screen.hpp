// SPDX-License-Identifier: GPL-3.0-or-later
// The mode in which a directly booted kernel finds the display: where no VGA BIOS runs, these do what it would.
#pragma once

#include <optional>

#include "devices/pci/pci_function.hpp"
#include "devices/video/bios_modes.hpp"
#include "vmm/boot/linux_loader.hpp"
#include "vmm/boot/multiboot.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/machine/machine.hpp"

namespace skep {

class PciBus;

// For Linux: a linear frame buffer, as a boot loader with a graphical menu leaves it. After the function's BARs were placed.
BootScreen set_boot_mode(IoSpace& ports, PciBus& bus, PciAddress display);

// Text, unless the kernel wishes graphics; those have 32 bits a pixel and the size that is wished if the display has it. `font`: none
// is known, so the text will not be seen.
MultibootScreen set_multiboot_mode(Machine& machine, PciBus& bus, PciAddress display, std::optional<vga::Font> font,
                                   const std::optional<MultibootVideo>& wish);

}  // namespace skep
