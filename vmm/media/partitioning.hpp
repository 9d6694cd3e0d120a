// SPDX-License-Identifier: GPL-3.0-or-later
// What the first sectors of a disk say: MBR and GPT (UEFI 2.9, chapter 5), and whether firmware finds something to start.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/media/byte_source.hpp"

namespace skep {

struct Partitioning {
    bool present = false;              // an MBR, which a disk with a GPT has too
    bool has_boot_code = false;        // what a BIOS starts
    std::vector<uint64_t> efi_system;  // where EFI system partitions begin, bytes
};

// Reads at most 20 KiB. Any thread; what cannot be read is not there.
[[nodiscard]] Partitioning read_partitioning(const ByteSource& disk);

// What would start from a disk as it is now. An EFI system partition counts when its file system has a folder EFI: an
// installer makes the partition long before it puts a loader there.
struct StartsBy {
    bool bios = false;
    bool uefi = false;
};
[[nodiscard]] StartsBy starts_by(const ByteSource& disk);

}  // namespace skep
