// SPDX-License-Identifier: GPL-3.0-or-later
// Human interface devices (USB Device Class Definition for HID 1.11): a tablet that tells where the pointer is, and a
// keyboard that also firmware understands (boot protocol, appendix B). Left out: the keyboard's lamps are not shown.
#pragma once

#include <memory>

#include "devices/usb/usb_device.hpp"
#include "display/input/input_hub.hpp"
#include "vmm/base/clock.hpp"

namespace skep {

// Both join the hub when they are plugged in and leave it when they are unplugged. They listen while the guest's driver
// fetches reports: firmware that has left the controller running without looking at it is not heard.
[[nodiscard]] std::unique_ptr<UsbDevice> make_usb_tablet(InputHub& hub, Clock& clock);
[[nodiscard]] std::unique_ptr<UsbDevice> make_usb_keyboard(InputHub& hub, Clock& clock);

}  // namespace skep
