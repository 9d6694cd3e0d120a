// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a Multiboot kernel file that go into memory: by the header's own addresses (3.1.3 of the Multiboot
// Specification) or by ELF program headers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/elf_image.hpp"

namespace skep {

struct MultibootImage {
    std::vector<LoadSegment> segments;
    uint32_t entry = 0;
};

// Every size and offset is checked against the file; addresses are not yet checked against RAM, but lie below 4 GiB.
[[nodiscard]] Result<MultibootImage> parse_multiboot_image(const std::string& path, std::span<const std::byte> file);

}  // namespace skep
