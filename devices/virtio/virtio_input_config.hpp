// SPDX-License-Identifier: GPL-3.0-or-later
// Inside devices/virtio: what an input device tells the driver about itself (Virtual I/O Device 1.2, section 5.8.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/device/state_io.hpp"

namespace skep {

// struct virtio_input_config: the driver writes `select` and `subsel`, and reads `size` and the data that they chose.
class VirtioInputConfig {
  public:
    static constexpr size_t k_size = 136;

    void set_name(std::string_view name);
    void set_product(uint16_t product);
    // The codes of an event type (EV_KEY, ...) that the device sends or takes.
    void add_codes(uint8_t event_type, std::span<const uint16_t> codes);
    void add_axis(uint8_t axis, uint32_t most);  // 0 to `most`

    [[nodiscard]] std::vector<std::byte> read() const;
    void write(uint32_t offset, std::span<const std::byte> data);
    void reset() { m_selected = {}; }
    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    using Key = std::pair<uint8_t, uint8_t>;  // select, subsel
    std::map<Key, std::vector<uint8_t>> m_answers;
    Key m_selected{};
};

}  // namespace skep
