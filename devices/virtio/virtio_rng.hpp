// SPDX-License-Identifier: GPL-3.0-or-later
// The virtio entropy device (Virtual I/O Device 1.2, section 5.4): fills the driver's buffers from the host's getrandom().
#pragma once

#include <memory>

#include "devices/virtio/virtio_device.hpp"

namespace skep {

class GuestMemory;

[[nodiscard]] std::unique_ptr<VirtioDevice> make_virtio_rng(GuestMemory& memory);

}  // namespace skep
