// SPDX-License-Identifier: GPL-3.0-or-later
// The 82540EM's PHY, reached by MDIC (8254x manual 317453, 13.4.6 and 13.5; IEEE 802.3, 22.2.4): negotiates 1000 Mbit/s
// full duplex, at once, with a partner that can do everything. Left out: loopback, forced speeds, cable tests.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/device/state_io.hpp"

namespace skep {

class E1000Phy {
  public:
    static constexpr unsigned k_registers = 32;

    E1000Phy() { reset(); }
    void reset();
    void set_cable(bool plugged_in);
    // Whether there is a link: a cable, and the PHY not powered down.
    [[nodiscard]] bool link() const;
    [[nodiscard]] uint16_t read(unsigned number);
    // Returns true when the link was lost or made (or made anew).
    bool write(unsigned number, uint16_t value);

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    std::array<uint16_t, k_registers> m_registers{};
    bool m_cable = true;
    bool m_lost_link = false;  // since the status was last read: its bit is latched (22.2.4.2.13)
};

}  // namespace skep
