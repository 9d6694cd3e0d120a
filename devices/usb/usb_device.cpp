// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/usb_device.hpp"

#include <algorithm>

namespace skep {

size_t UsbTransfer::give(std::span<const uint8_t> data) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(data.size(), remaining()));
    m_failed |= !m_buffer.write(m_memory, m_moved, data.first(count));
    m_moved += count;
    return count;
}

size_t UsbTransfer::take(std::span<uint8_t> data) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(data.size(), remaining()));
    m_failed |= !m_buffer.read(m_memory, m_moved, data.first(count));
    m_moved += count;
    return count;
}

}  // namespace skep
