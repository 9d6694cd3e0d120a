// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as a medium. Nothing may crash, hang or read outside the bytes.
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/media/byte_source.hpp"
#include "vmm/media/iso9660.hpp"
#include "vmm/media/medium.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const skep::MemorySource source(std::as_bytes(std::span(data, size)));
    static_cast<void>(skep::inspect_source(source, "/media/fuzz.iso"));
    if (const auto volume = skep::read_iso_volume(source)) {
        for (const char* path : {"a", "boot/grub/grub.cfg", ".disk/info"}) {
            if (const auto found = skep::find_in_iso(source, *volume, path)) {
                static_cast<void>(skep::read_iso_text(source, *found, 4096));
            }
        }
    }
    return 0;
}
