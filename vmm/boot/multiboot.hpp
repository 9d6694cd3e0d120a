// SPDX-License-Identifier: GPL-3.0-or-later
// Starting a Multiboot kernel with modules, without firmware. After the Multiboot Specification 0.6.96.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/multiboot_image.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/cpu/cpu_state.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

struct MultibootModule {
    std::string path;
    std::string command_line;  // what the kernel is told; by custom it starts with the module's name
};

// The display as the kernel finds it (3.3, "framebuffer").
struct MultibootScreen {
    MultibootVideo mode;  // all of it is known; text has 16 bits a character
    uint64_t address = 0;
};

struct MultibootFiles {
    std::string kernel;        // ELF, or any format with load addresses in its Multiboot header
    std::string command_line;  // by custom without the kernel's name; it is put in front, as GRUB does
    std::vector<MultibootModule> modules;
};

// Brings the display into the mode that the kernel wishes, or one like it, and to text where it wishes nothing.
using SetMultibootScreen = std::function<MultibootScreen(const std::optional<MultibootVideo>& wish)>;

// Puts kernel, modules and the boot information into RAM and gives the boot processor's state (3.2): 32-bit protected
// mode, EAX 0x2badb002, EBX the boot information. `set_screen`: empty without a display. Fails with a sentence naming the file.
[[nodiscard]] Result<CpuState> load_multiboot(GuestMemory& memory, const PlatformDescription& platform, const MultibootFiles& files,
                                              const SetMultibootScreen& set_screen, const CpuState& reset_state);

}  // namespace skep
