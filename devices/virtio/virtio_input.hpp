// SPDX-License-Identifier: GPL-3.0-or-later
// The virtio input device (Virtual I/O Device 1.2, section 5.8) as a keyboard or as a tablet, which tells the guest
// where the pointer is instead of how far it has moved. Left out: force feedback; the keyboard's lamps are not shown.
#pragma once

#include <memory>

#include "devices/virtio/virtio_device.hpp"
#include "display/input/input_hub.hpp"

namespace skep {

class GuestMemory;

// Both join the hub and leave it when they are destroyed; they listen while the guest's driver runs.
[[nodiscard]] std::unique_ptr<VirtioDevice> make_virtio_keyboard(GuestMemory& memory, InputHub& hub);
[[nodiscard]] std::unique_ptr<VirtioDevice> make_virtio_tablet(GuestMemory& memory, InputHub& hub);

}  // namespace skep
