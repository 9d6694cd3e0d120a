// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as an ELF image, and as the packed payload of a bzImage. Nothing may crash, read outside
// the bytes, or take more memory than the header allows.
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/boot/elf_image.hpp"
#include "vmm/boot/kernel_payload.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    constexpr uint64_t k_room = 1 << 20;
    const auto within = [](const skep::ElfImage& image, std::span<const std::byte> file) {
        for (const skep::LoadSegment& segment : image.segments) {
            if (segment.data.data() < file.data() || segment.data.size() > file.size() ||
                segment.data.data() > file.data() + (file.size() - segment.data.size()) ||
                segment.size < segment.data.size()) {
                __builtin_trap();
            }
        }
    };
    if (const auto image = skep::parse_elf(bytes)) {
        within(*image, bytes);
    }
    const skep::KernelPayload payload{.bytes = bytes, .load_address = 0x100'0000, .room = k_room, .alignment = 0x20'0000};
    if (const auto kernel = skep::unpack_kernel(payload)) {
        within(kernel->image, kernel->file);
        if (kernel->file.size() > k_room) {
            __builtin_trap();
        }
    }
    return 0;
}
