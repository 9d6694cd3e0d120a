// SPDX-License-Identifier: GPL-3.0-or-later
// SMBIOS: what the machine calls itself. After DMTF DSP0134 3.4.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/boot/platform.hpp"

namespace skep {

struct Smbios {
    std::vector<std::byte> tables;  // types 0, 1, 2, 3, 4 (one a processor socket), 16, 17, 19, 32, 127
    uint16_t structure_count = 0;
    uint16_t largest_structure = 0;
};

[[nodiscard]] Smbios build_smbios(const PlatformDescription& platform);
// Entry points (5.2): 24 bytes "_SM3_", 31 bytes "_SM_" for older guests. The table address of the fw_cfg form is 0:
// the firmware enters it and the checksum.
[[nodiscard]] std::vector<std::byte> smbios_anchor_3(const Smbios& smbios, uint64_t tables_address);
[[nodiscard]] std::vector<std::byte> smbios_anchor_2(const Smbios& smbios, uint32_t tables_address);

}  // namespace skep
