// SPDX-License-Identifier: GPL-3.0-or-later
// Starting a Linux bzImage without firmware. After the kernel's Documentation/arch/x86/boot.rst, protocol 2.10 and
// newer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/boot/platform.hpp"
#include "vmm/cpu/cpu_state.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

// A linear frame buffer of 32 bits a pixel that is on when the kernel starts (blue in the lowest byte).
struct BootScreen {
    uint32_t address = 0;
    uint32_t bytes = 0;
    uint16_t width = 0;
    uint16_t height = 0;
};

struct LinuxFiles {
    std::string kernel;  // path of a bzImage
    std::string initrd;  // path; empty: none
    std::string command_line;
    std::optional<BootScreen> screen = std::nullopt;  // nullopt: the kernel finds no screen
};

// Puts kernel, initrd, command line and boot parameters into RAM and gives the boot processor's state. The kernel is
// unpacked here (kernel_payload.hpp) and starts at its own entry, 64 or 32 bits wide; one that cannot be unpacked, with
// the reason logged, starts at its decompressor: by the 64-bit entry where it has one, else by the 32-bit entry. `rsdp`: where the ACPI tables were placed (direct_boot.hpp), 0:
// nowhere. Fails, with a sentence naming the file, when a file is not what it should be or does not fit.
[[nodiscard]] Result<CpuState> load_linux(GuestMemory& memory, const PlatformDescription& platform,
                                          const LinuxFiles& files, GuestAddress rsdp, const CpuState& reset_state);

}  // namespace skep
