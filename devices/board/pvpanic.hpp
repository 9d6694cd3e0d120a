// SPDX-License-Identifier: GPL-3.0-or-later
// Pvpanic: the port by which a guest's system says that it crashed (QEMU's pvpanic specification, ISA flavour; found by
// its ACPI device QEMU0001).
#pragma once

#include "vmm/device/device.hpp"

namespace skep {

class Pvpanic final : public Device, public IoHandler {
  public:
    Pvpanic(IoSpace& ports, MachineRequests& machine);

    [[nodiscard]] std::string name() const override { return "pvpanic"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    MachineRequests& m_machine;
    bool m_told = false;  // since the reset: a guest that writes for ever is heard once
    mutable IoGate m_gate;
    IoClaim m_claim;
};

}  // namespace skep
