// SPDX-License-Identifier: GPL-3.0-or-later
// A new disk of any format, for Bundle::create_disk, which does not know the formats.
#pragma once

#include "devices/formats/qcow2_create.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {

// bytes: whole sectors, from 1 MiB.
[[nodiscard]] inline NewDisk new_disk(uint64_t bytes, DiskBus bus, DiskFormat format) {
    NewDisk disk{.bytes = bytes, .bus = bus, .format = format};
    if (format == DiskFormat::qcow2) {
        disk.make = make_qcow2_image;
    }
    return disk;
}

}  // namespace skep
