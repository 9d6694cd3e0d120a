// SPDX-License-Identifier: GPL-3.0-or-later
// Ps2Keyboard: a 102-key MF2 keyboard with scan code sets 1, 2 and 3 (IBM PS/2 Technical Reference, Keyboards
// 101/102 key). Left out: typematic repetition (the host's window system repeats), per-key types of set 3.
#pragma once

#include <array>

#include "devices/board/ps2_device.hpp"

namespace skep {

// The keyboard controller's translation from set 2 to set 1 (the 0xf0 prefix is the controller's own matter).
[[nodiscard]] uint8_t set1_of_set2(uint8_t code);

class Ps2Keyboard final : public Ps2Device {
  public:
    void reset() override;
    void receive(uint8_t byte) override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // One byte of set 1 as typed. Whole sequences (prefix and code) are kept or dropped together.
    void type(uint8_t set1);
    [[nodiscard]] uint8_t leds() const { return m_leds; }  // bit 0 scroll, 1 num, 2 caps lock

  private:
    void set_defaults();
    void command(uint8_t byte);
    void argument(uint8_t byte);
    void send_key(uint8_t prefix, uint8_t set1);
    [[nodiscard]] bool send_with_modifier(uint8_t prefix, uint8_t set1);
    void note_modifier(uint8_t prefix, uint8_t set1);

    enum Held : uint8_t {  // beside bit 0 of the saved state
        k_left_control = 0x02,
        k_right_control = 0x04,
        k_left_alt = 0x08,
        k_right_alt = 0x10,
        k_system_request = 0x20,  // Print Screen was pressed with Alt
        k_break = 0x40,           // Pause was pressed with Control
    };

    bool m_scanning = true;
    uint8_t m_set = 2;
    uint8_t m_leds = 0;
    uint8_t m_awaiting = 0;     // the command whose argument comes next
    uint8_t m_prefix = 0;       // 0xe0 or 0xe1 typed, its code not yet
    uint8_t m_pause_bytes = 0;  // codes still to come after 0xe1
    uint8_t m_held = 0;
};

}  // namespace skep
