// SPDX-License-Identifier: GPL-3.0-or-later
// What a person at the machine sees, hears and touches: display, sound card, keyboard and tablet.
#pragma once

#include "app/worker/machine_builder.hpp"
#include "devices/pci/pci_function.hpp"
#include "vmm/device/device.hpp"

namespace skep {

inline constexpr PciAddress k_display_address{1, 0};
inline constexpr uint64_t k_display_memory_bytes = 16 << 20;

// The screen and the VGA BIOS, too; nothing for a machine without a display. Fails when the host lacks memory or the VGA BIOS.
[[nodiscard]] Status add_display(const VmSpec& spec, DeviceContext& context, BuiltMachine& built);
void add_sound(const VmSpec& spec, DeviceContext& context, Machine& machine);
// For machines with a screen.
void add_input(DeviceContext& context, BuiltMachine& built);

}  // namespace skep
