// SPDX-License-Identifier: GPL-3.0-or-later
// The USB sticks of a machine: image files that are plugged in and pulled out, also while it runs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class XhciController;

struct UsbStick {
    std::string id;
    std::string path;
    bool read_only = false;
    unsigned port = 0;  // of the controller, from 1
    std::shared_ptr<BlockBackend> backend;
};

struct StickRequest {
    std::string id;      // empty: the first free one of the form "usb0"
    std::string path;    // a raw image
    std::string serial;  // empty: made from the path
    bool read_only = false;
};

// Control thread.
class UsbSticks {
  public:
    // A write of the stick `id` found no room on the host's disk. Any thread.
    using NoSpace = std::function<void(const std::string& id, const std::string& sentence)>;
    // The controller lives longer.
    UsbSticks(XhciController& controller, NoSpace on_no_space)
        : m_controller(controller), m_on_no_space(std::move(on_no_space)) {}

    // Opens and locks the image and plugs it in. in_use: the id is taken; else as RawImage::open.
    Result<UsbStick> plug(const StickRequest& request);
    // Returns when the image is no longer used. id: empty for the only one. Kind not_found names what is not there.
    Result<UsbStick> unplug(const std::string& id);
    [[nodiscard]] const std::vector<UsbStick>& list() const { return m_sticks; }

  private:
    [[nodiscard]] std::vector<UsbStick>::iterator find(const std::string& id);

    XhciController& m_controller;
    NoSpace m_on_no_space;
    std::vector<UsbStick> m_sticks;
};

}  // namespace skep
