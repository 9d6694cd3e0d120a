// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel proper inside a Linux bzImage, unpacked on the host. A guest's own decompressor takes 1 to 5 billion
// instructions, three quarters of a boot. After Documentation/arch/x86/boot.rst, payload_offset and payload_length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "vmm/base/large_buffer.hpp"
#include "vmm/boot/elf_image.hpp"

namespace skep {

// What the header of a bzImage says of its payload.
struct KernelPayload {
    std::span<const std::byte> bytes;  // packed; with the four bytes that tell the unpacked size
    uint64_t load_address = 0;         // pref_address: where it runs without relocations, physically and virtually
    uint64_t room = 0;                 // init_size: what it may cover from there
    uint64_t alignment = 0;            // kernel_alignment; 0: not relocatable, only load_address will do
};

struct UnpackedKernel {
    LargeBuffer file;  // vmlinux; the relocation table behind it is not needed
    ElfImage image;    // its segments point into `file`
};

// Fails with the reason, a clause for the log ("it is packed by LZO"), on anything unusual; the kernel's own
// decompressor is then to be run. Fills at most `room` bytes of memory, and the decompressor's dictionary as much again
// (which a hostile stream can have reserved at up to 1 GiB, but not filled).
[[nodiscard]] tl::expected<UnpackedKernel, std::string> unpack_kernel(const KernelPayload& payload);

}  // namespace skep
