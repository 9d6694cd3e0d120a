// SPDX-License-Identifier: GPL-3.0-or-later
// Reading ISO 9660 volumes: descriptors, El Torito boot catalogue and files by path, Rock Ridge names included.
// After ECMA-119 (8.4, 9.1), "El Torito" Bootable CD-ROM Format 1.0 and IEEE P1282 (NM entries).
// Every loop is bounded by a constant, whatever the image says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/media/byte_source.hpp"

namespace skep {

struct IsoExtent {
    uint64_t offset = 0;  // bytes from the start of the image
    uint32_t size = 0;    // bytes
    bool is_directory = false;
};

struct IsoVolume {
    std::string volume_id;       // bytes 40..71 of the primary descriptor; printable ASCII, trailing blanks removed
    std::string application_id;  // bytes 574..701, likewise
    uint64_t volume_bytes = 0;   // what the volume says it has
    IsoExtent root;
    bool boots_bios = false;  // El Torito entry for x86 BIOS
    bool boots_uefi = false;  // ... for EFI
};

// Nothing when there is no primary volume descriptor at sector 16 or behind.
[[nodiscard]] std::optional<IsoVolume> read_iso_volume(const ByteSource& source);

// "casper/vmlinuz": upper and lower case are the same; without Rock Ridge names ".disk" is found as "_DISK".
[[nodiscard]] std::optional<IsoExtent> find_in_iso(const ByteSource& source, const IsoVolume& volume,
                                                   std::string_view path);
// Up to `limit` bytes of a file's start as printable text (newlines kept); empty when it cannot be read.
[[nodiscard]] std::string read_iso_text(const ByteSource& source, const IsoExtent& file, size_t limit);

}  // namespace skep
