// SPDX-License-Identifier: GPL-3.0-or-later
// Port92: the two ways of a chip set to reset the machine, port 0x92 (INIT_NOW and the alternate A20 gate) and the
// reset control register 0xcf9 (ICH9 data sheet 13.7.2 and 13.7.5). Left out: A20 gates nothing, INIT of the
// processors alone (every reset is one of the whole machine).
#pragma once

#include "vmm/device/device.hpp"

namespace skep {

class Port92 final : public Device, public IoHandler {
  public:
    Port92(IoSpace& ports, MachineRequests& machine);

    [[nodiscard]] std::string name() const override { return "port92"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    struct ResetControl final : IoHandler {  // 0xcf9
        explicit ResetControl(Port92& port) : owner(port) {}
        uint64_t io_read(uint64_t, unsigned) override { return owner.m_reset_control; }
        void io_write(uint64_t, unsigned, uint64_t value) override;
        Port92& owner;
    };
    MachineRequests& m_machine;
    mutable IoGate m_gate;
    uint8_t m_port92 = 0;
    uint8_t m_reset_control = 0;
    ResetControl m_control{*this};
    IoClaim m_claim;
    IoClaim m_control_claim;
};

}  // namespace skep
