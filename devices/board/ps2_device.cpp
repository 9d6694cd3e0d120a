// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/ps2_device.hpp"

namespace skep {

void Ps2Output::save(StateWriter& writer) const {
    for (const std::deque<uint8_t>* queue : {&m_answers, &m_events}) {
        writer.put(static_cast<uint16_t>(queue->size()));
        for (const uint8_t byte : *queue) {
            writer.put(byte);
        }
    }
    writer.put(m_last);
}

void Ps2Output::load(StateReader& reader) {
    for (std::deque<uint8_t>* queue : {&m_answers, &m_events}) {
        queue->clear();
        const auto count = reader.get<uint16_t>();
        if (count > k_limit) {
            reader.fail("more bytes wait than there is room for");
            return;
        }
        for (unsigned index = 0; index < count; ++index) {
            queue->push_back(reader.get<uint8_t>());
        }
    }
    reader.get(m_last);
}

}  // namespace skep
