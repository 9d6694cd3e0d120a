// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a Multiboot kernel file that go into memory: by the header's own addresses (3.1.3 of the Multiboot
// Specification) or by ELF program headers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/boot/elf_image.hpp"

namespace skep {

// What a kernel asks of the display (3.1.4). Zero: it does not mind.
struct MultibootVideo {
    enum class Mode { graphics, text } mode = Mode::graphics;
    uint32_t width = 0, height = 0;  // pixels, or characters
    uint32_t depth = 0;              // bits a pixel
};

struct MultibootImage {
    std::vector<LoadSegment> segments;
    uint32_t entry = 0;
    std::optional<MultibootVideo> video;
};

// Every size and offset is checked against the file; addresses are not yet checked against RAM, but lie below 4 GiB.
[[nodiscard]] Result<MultibootImage> parse_multiboot_image(const std::string& path, std::span<const std::byte> file);

}  // namespace skep
