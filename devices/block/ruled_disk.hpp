// SPDX-License-Identifier: GPL-3.0-or-later
// A disk with what its owner has decided about it: when written data is durable, and what becomes of discarded blocks.
#pragma once

#include <memory>

#include "devices/block/block_backend.hpp"

namespace skep {

struct DiskRules {
    bool through = false;  // a write completes when it is on stable storage, whether or not the guest flushes
    bool discard = true;   // what the guest discards is given back to the host
    bool operator==(const DiskRules&) const = default;
};

// `disk` itself where the rules ask for nothing. Without discard the disk says that it cannot (BlockInfo::can_discard), a
// discard that comes nevertheless is `unsupported`, and blocks that are zeroed stay allocated.
[[nodiscard]] std::shared_ptr<BlockBackend> with_rules(std::shared_ptr<BlockBackend> disk, DiskRules rules);

}  // namespace skep
