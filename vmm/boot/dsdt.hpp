// SPDX-License-Identifier: GPL-3.0-or-later
// The AML of the DSDT: PCI root bridge with its windows and interrupt routing, ISA devices, processors, power.
#pragma once

#include <cstddef>
#include <vector>

#include "vmm/boot/platform.hpp"

namespace skep::acpi {

// The definition block's content, without the table header.
[[nodiscard]] std::vector<std::byte> dsdt_code(const PlatformDescription& platform);

}  // namespace skep::acpi
