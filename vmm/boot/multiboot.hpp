// SPDX-License-Identifier: GPL-3.0-or-later
// Starting a Multiboot kernel with modules, without firmware. After the Multiboot Specification 0.6.96.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/cpu/cpu_state.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

struct MultibootModule {
    std::string path;
    std::string command_line;  // what the kernel is told; by custom it starts with the module's name
};

struct MultibootFiles {
    std::string kernel;        // ELF, or any format with load addresses in its Multiboot header
    std::string command_line;  // by custom without the kernel's name; it is put in front, as GRUB does
    std::vector<MultibootModule> modules;
};

// Puts kernel, modules and the boot information into RAM and gives the boot processor's state (3.2): 32-bit protected
// mode, EAX 0x2badb002, EBX the boot information. Fails with a sentence naming the file.
[[nodiscard]] Result<CpuState> load_multiboot(GuestMemory& memory, const PlatformDescription& platform,
                                              const MultibootFiles& files, const CpuState& reset_state);

}  // namespace skep
