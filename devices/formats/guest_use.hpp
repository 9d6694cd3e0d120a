// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger of a disk: how large it is, what its image uses on the host, and what the guest's file systems use of it, as far as that
// can be known from outside. A guest writes what is read here, so any of it may be a lie: then less is known.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "devices/formats/image.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Read are partition tables (MBR and GPT) and ext2, ext3 and ext4. A file system that is mounted writes down what it uses
// only now and then.
struct GuestUse {
    unsigned file_systems = 0;
    uint64_t used_bytes = 0;   // by these, with their own tables
    uint64_t other_bytes = 0;  // the size of what is neither one of these nor outside of all partitions
    bool operator==(const GuestUse&) const = default;
};

struct DiskLedger {
    uint64_t disk_bytes = 0;
    uint64_t host_bytes = 0;  // used by the image's file, not by its bases
    std::optional<GuestUse> guest{};

    // At least so many bytes of the file hold nothing of the guest's: deleted, and not discarded. Nothing where the guest's use
    // is not known.
    [[nodiscard]] std::optional<uint64_t> reclaimable() const;
};

// False: these bytes cannot be had.
using ReadDisk = std::function<bool(uint64_t offset, std::span<uint8_t> to)>;

// Nothing where no file system is found that is understood. Reads a few MiB at most.
[[nodiscard]] std::optional<GuestUse> read_guest_use(uint64_t disk_bytes, const ReadDisk& read);

// Of a disk that may be in use: requests go through it. Waits for the host; not on a thread of the back end.
[[nodiscard]] DiskLedger look_at_disk(BlockBackend& disk, const std::string& path);

// Of an image that no machine uses. Errors: as open_image.
[[nodiscard]] Result<DiskLedger> look_at_image(const std::string& path, const ImageOptions& options);

}  // namespace skep
