// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_input_config.hpp"

#include <linux/input-event-codes.h>

#include <algorithm>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

// enum virtio_input_config_select
enum Select : uint8_t { k_name = 0x01, k_device_ids = 0x03, k_event_bits = 0x11, k_axis_info = 0x12 };

constexpr uint16_t k_bus_virtual = 0x06;
constexpr uint16_t k_vendor = 0x1af4;
constexpr uint16_t k_version = 1;
constexpr size_t k_size_at = 2;
constexpr size_t k_data_at = 8;
constexpr size_t k_most_data = VirtioInputConfig::k_size - k_data_at;

}  // namespace

void VirtioInputConfig::set_name(std::string_view name) {
    m_answers[{k_name, 0}] = {name.begin(), name.begin() + static_cast<ptrdiff_t>(std::min(name.size(), k_most_data))};
}

void VirtioInputConfig::set_product(uint16_t product) {
    std::vector<uint8_t> ids(8);
    store_le<uint16_t>(&ids[0], k_bus_virtual);
    store_le<uint16_t>(&ids[2], k_vendor);
    store_le<uint16_t>(&ids[4], product);
    store_le<uint16_t>(&ids[6], k_version);
    m_answers[{k_device_ids, 0}] = ids;
}

void VirtioInputConfig::add_codes(uint8_t event_type, std::span<const uint16_t> codes) {
    std::vector<uint8_t>& bitmap = m_answers[{k_event_bits, event_type}];
    for (const uint16_t code : codes) {
        bitmap.resize(std::max<size_t>(bitmap.size(), code / 8 + 1U));
        bitmap[code / 8] |= static_cast<uint8_t>(1U << code % 8);
    }
}

void VirtioInputConfig::add_axis(uint8_t axis, uint32_t most) {
    const uint16_t code = axis;
    add_codes(EV_ABS, std::span(&code, 1));
    std::vector<uint8_t> info(20);  // minimum, maximum, fuzz, flat, resolution
    store_le<uint32_t>(&info[4], most);
    m_answers[{k_axis_info, axis}] = info;
}

std::vector<std::byte> VirtioInputConfig::read() const {
    std::vector<std::byte> bytes(k_size);
    bytes[0] = std::byte{m_selected.first};
    bytes[1] = std::byte{m_selected.second};
    if (const auto answer = m_answers.find(m_selected); answer != m_answers.end()) {
        bytes[k_size_at] = static_cast<std::byte>(answer->second.size());
        std::ranges::transform(answer->second, bytes.begin() + k_data_at, [](uint8_t byte) { return std::byte{byte}; });
    }
    return bytes;
}

void VirtioInputConfig::write(uint32_t offset, std::span<const std::byte> data) {
    for (const std::byte byte : data) {
        if (offset == 0) {
            m_selected.first = std::to_integer<uint8_t>(byte);
        } else if (offset == 1) {
            m_selected.second = std::to_integer<uint8_t>(byte);
        }
        ++offset;
    }
}

void VirtioInputConfig::save(StateWriter& writer) const {
    writer.put(m_selected.first);
    writer.put(m_selected.second);
}

void VirtioInputConfig::load(StateReader& reader) {
    reader.get(m_selected.first);
    reader.get(m_selected.second);
}

}  // namespace skep
