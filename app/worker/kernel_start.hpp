// SPDX-License-Identifier: GPL-3.0-or-later
// Machines that start a kernel's files and not what is on their drives: always, or until an installation is done.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "devices/board/fw_cfg.hpp"
#include "vmm/boot/multiboot.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

class PciBus;

// Paths of the host.
struct KernelFiles {
    std::string kernel;
    std::string initrd;  // empty: none
    std::string command_line;
    std::vector<MultibootModule> modules;  // multiboot only
};

// Puts the kernel into RAM at every reset, as firmware would have, until the machine is given another boot load.
// `kind`: multiboot, or else a Linux kernel. `vga_bios`: the display's, empty without one; lasts as long as the machine.
void start_by_kernel(Machine& machine, const PlatformDescription& platform, PciBus& bus, Firmware kind,
                     std::span<const std::byte> vga_bios, const KernelFiles& files);

// UEFI (OVMF) starts the kernel it finds here before it looks at any drive. Fails when a file cannot be read.
[[nodiscard]] Status give_kernel_to_uefi(FwCfg& fw_cfg, const KernelFiles& files);
void take_kernel_from_uefi(FwCfg& fw_cfg);

}  // namespace skep
