// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/storage/ata.hpp"

#include <cstring>

namespace skep::ata {

void put_ata_string(std::array<uint16_t, 256>& words, unsigned first, unsigned count, const std::string& text) {
    for (unsigned i = 0; i < count * 2; ++i) {
        const char wanted = i < text.size() ? text[i] : ' ';
        const auto shown = static_cast<uint16_t>(wanted >= ' ' && wanted <= '~' ? wanted : '?');
        uint16_t& word = words[first + i / 2];
        word = i % 2 == 0 ? static_cast<uint16_t>(shown << 8) : static_cast<uint16_t>(word | shown);
    }
}

std::array<uint8_t, 512> identify_bytes(std::array<uint16_t, 256> words) {
    words[255] = 0x00a5;
    std::array<uint8_t, 512> bytes{};
    std::memcpy(bytes.data(), words.data(), bytes.size());
    uint8_t sum = 0;
    for (const uint8_t byte : bytes) {
        sum = static_cast<uint8_t>(sum + byte);
    }
    bytes[511] = static_cast<uint8_t>(-sum);
    return bytes;
}

}  // namespace skep::ata
