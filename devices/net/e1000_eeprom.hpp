// SPDX-License-Identifier: GPL-3.0-or-later
// The card's EEPROM of 64 words: read at once by EERD, or bit by bit over its four wires (Microwire) by EECD
// (8254x manual 317453, 5.2 to 5.6, 13.4.3, 13.4.4). What a guest writes into it lasts until the machine ends.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/device/state_io.hpp"

namespace skep {

class E1000Eeprom {
  public:
    static constexpr unsigned k_words = 64;
    using Mac = std::array<uint8_t, 6>;

    explicit E1000Eeprom(const Mac& mac);
    [[nodiscard]] Mac mac() const;
    void reset_wires();

    [[nodiscard]] uint32_t read_eecd() const;
    void write_eecd(uint32_t value);
    // The register after a write to it: DONE and the word.
    [[nodiscard]] uint32_t eerd(uint32_t written) const;

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    void clock_in();
    void execute();

    std::array<uint16_t, k_words> m_content{};
    uint32_t m_eecd = 0;       // what the driver has written
    bool m_out = true;         // the wire DO
    bool m_may_write = false;  // after EWEN
    // A command is a start bit, two of opcode, six of address; behind a write come 16 of data.
    uint32_t m_shift = 0;
    uint8_t m_taken = 0;      // bits of it, 0 before the start bit
    bool m_reading = false;
    uint8_t m_address = 0;
    uint8_t m_bits_left = 0;  // of the word that is read
};

}  // namespace skep
