// SPDX-License-Identifier: GPL-3.0-or-later
// The virtio block device (Virtual I/O Device 1.2, section 5.2): several queues over one asynchronous back end, with
// FLUSH, a switchable write cache, DISCARD and WRITE_ZEROES. Left out: secure erase, lifetime, zoned devices.
#pragma once

#include <memory>
#include <string>

#include "devices/block/block_backend.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace skep {

struct VirtioBlkConfig {
    std::string serial;        // up to 20 bytes
    unsigned queue_count = 1;  // 1..16
};

[[nodiscard]] std::unique_ptr<VirtioDevice> make_virtio_blk(GuestMemory& memory, std::shared_ptr<BlockBackend> backend,
                                                            VirtioBlkConfig config);

}  // namespace skep
