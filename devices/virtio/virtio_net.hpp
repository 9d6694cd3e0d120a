// SPDX-License-Identifier: GPL-3.0-or-later
// virtio network card (Virtual I/O Device 1.2, 5.1): several queue pairs, buffers that merge, checksum and segmentation
// left to the back end both ways. Left out: UDP segmentation, receive-side scaling by key, VLAN filter.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "devices/net/net_cable.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace skep {

struct VirtioNetConfig {
    std::array<uint8_t, 6> mac{};
    unsigned queue_pairs = 1;  // 1..8
};

[[nodiscard]] std::unique_ptr<VirtioDevice> make_virtio_net(GuestMemory& memory, std::shared_ptr<NetCable> cable,
                                                            const VirtioNetConfig& config);

}  // namespace skep
