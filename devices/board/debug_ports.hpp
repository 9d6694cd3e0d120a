// SPDX-License-Identifier: GPL-3.0-or-later
// Ports by which programs in a virtual machine talk to whoever develops them.
#pragma once

#include "vmm/device/char_backend.hpp"
#include "vmm/device/device.hpp"

namespace skep {

enum class DebugOutput { quiet, logged };

// Port 0x402 as firmware knows it from other emulators: reads 0xe9, takes characters. All bytes go to the backend, lines
// to the log: at debug level, or, when the user wants them (logged), like other news and from port 0xe9 as well.
class DebugConsole final : public Device, public IoHandler {
  public:
    DebugConsole(IoSpace& ports, CharBackend* backend, DebugOutput output = DebugOutput::quiet);

    [[nodiscard]] std::string name() const override { return "debug-console"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    void flush_line();

    CharBackend* m_backend;
    const DebugOutput m_output;
    size_t m_logged = 0;  // bytes, against a guest that would fill the host's disk
    mutable IoGate m_gate;
    std::string m_line;
    IoClaim m_claim;
    IoClaim m_second_claim;
};

// Port 0xf4: a write of `value` ends the machine with exit code (value << 1) | 1. Only with the user's consent.
class DebugExit final : public Device, public IoHandler {
  public:
    DebugExit(IoSpace& ports, MachineRequests& machine);

    [[nodiscard]] std::string name() const override { return "debug-exit"; }
    void reset() override {}
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    MachineRequests& m_machine;
    IoGate m_gate;
    IoClaim m_claim;
};

}  // namespace skep
