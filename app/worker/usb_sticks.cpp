// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/usb_sticks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "devices/block/raw.hpp"
#include "devices/usb/usb_storage.hpp"
#include "devices/usb/xhci_controller.hpp"
#include "vmm/base/fnv.hpp"

namespace skep {
namespace {

// Sixteen digits as the class wants them, the same for the same file: guests know sticks by it.
std::string serial_of(const std::string& path) {
    return fmt::format("{:016X}", fnv1a(path));
}

}  // namespace

std::vector<UsbStick>::iterator UsbSticks::find(const std::string& id) {
    return std::find_if(m_sticks.begin(), m_sticks.end(), [&](const UsbStick& stick) { return stick.id == id; });
}

Result<UsbStick> UsbSticks::plug(const StickRequest& request) {
    UsbStick stick{.id = request.id, .path = request.path, .read_only = request.read_only, .port = 0, .backend = nullptr};
    for (unsigned number = 0; stick.id.empty(); ++number) {
        const std::string candidate = fmt::format("usb{}", number);
        stick.id = find(candidate) == m_sticks.end() ? candidate : "";
    }
    if (find(stick.id) != m_sticks.end()) {
        return fail(ErrorKind::in_use, "There is a USB stick '{}' already; give this one another name.", stick.id);
    }
    auto image = RawImage::open(stick.path, {.access = stick.read_only ? ImageAccess::read_only : ImageAccess::read_write});
    if (!image) {
        return tl::unexpected(image.error());
    }
    stick.backend = *image;
    auto port = m_controller.plug(make_usb_storage(
        *image, {.serial = request.serial.empty() ? serial_of(stick.path) : request.serial,
                 .on_no_space = [report = m_on_no_space, id = stick.id](const std::string& sentence) { report(id, sentence); }}));
    if (!port) {
        return tl::unexpected(port.error());
    }
    stick.port = *port;
    m_sticks.push_back(stick);
    return stick;
}

Result<UsbStick> UsbSticks::unplug(const std::string& id) {
    if (id.empty() && m_sticks.size() != 1) {
        return m_sticks.empty() ? fail(ErrorKind::not_found, "No USB stick is plugged in.")
                                : fail(ErrorKind::invalid_input, "{} USB sticks are plugged in; say which.", m_sticks.size());
    }
    const auto found = id.empty() ? m_sticks.begin() : find(id);
    if (found == m_sticks.end()) {
        return fail(ErrorKind::not_found, "There is no USB stick '{}'.", id);
    }
    UsbStick stick = std::move(*found);
    m_sticks.erase(found);
    m_controller.unplug(stick.port);
    stick.backend.reset();
    return stick;
}

}  // namespace skep
