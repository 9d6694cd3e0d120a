// SPDX-License-Identifier: GPL-3.0-or-later
// A USB stick: SCSI over the Bulk-Only Transport (USB Mass Storage Class, Bulk-Only Transport 1.0), SuperSpeed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "devices/block/block_backend.hpp"
#include "devices/usb/usb_device.hpp"

namespace skep {

struct UsbStorageConfig {
    std::string serial;  // 12 or more of 0-9 and A-F, as the class wants it (4.1.1); others see what they are given
    // A write found no room on the host's disk: it is held until the back end's retry(). Any thread, no lock held.
    std::function<void(const std::string& sentence)> on_no_space;
};

[[nodiscard]] std::unique_ptr<UsbDevice> make_usb_storage(std::shared_ptr<BlockBackend> backend, UsbStorageConfig config);

}  // namespace skep
