// SPDX-License-Identifier: GPL-3.0-or-later
// Ps2Mouse: a PS/2 mouse with the IntelliMouse wheel and five-button extensions (IBM PS/2 Technical Reference,
// Mouse; the extensions as Microsoft published them). Left out: sampling rate and resolution change nothing.
#pragma once

#include <array>

#include "devices/board/ps2_device.hpp"

namespace skep {

class Ps2Mouse final : public Ps2Device {
  public:
    enum Button : uint8_t { k_left = 1, k_right = 2, k_middle = 4, k_side = 8, k_extra = 16 };

    void reset() override;
    void receive(uint8_t byte) override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // What the user did: right, down and wheel towards the user are positive. buttons: those held now.
    void move(int right, int down, int wheel, uint8_t buttons);

  private:
    void set_defaults();
    void command(uint8_t byte);
    void argument(uint8_t byte);
    void note_rate(uint8_t rate);
    void send_movement();
    size_t make_packet(std::array<uint8_t, 4>& packet);

    bool m_reporting = false;
    bool m_remote = false;
    bool m_wrap = false;
    bool m_double_scale = false;
    uint8_t m_id = 0;  // 0 standard, 3 wheel, 4 wheel and five buttons
    uint8_t m_rate = 100;
    uint8_t m_resolution = 2;
    uint8_t m_awaiting = 0;
    std::array<uint8_t, 2> m_last_rates{};  // the knock that switches extensions on
    uint8_t m_buttons = 0;
    uint8_t m_sent_buttons = 0;
    int32_t m_right = 0;  // not yet reported
    int32_t m_down = 0;
    int32_t m_wheel = 0;
};

}  // namespace skep
