// SPDX-License-Identifier: GPL-3.0-or-later
// What a device is, what it gets from the machine, and how the machine drives its life.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "vmm/base/clock.hpp"
#include "vmm/base/log.hpp"
#include "vmm/bus/io_space.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/irq/irq.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

// Life: constructed -> reset() -> start() -> { pause() -> [save()|load()] -> resume() }* -> destroyed.
// All of these are called on the control thread while no vCPU runs, except reset(), which may also come
// while host I/O of the device is in flight: completions of an earlier generation are then dropped.
class Device {
  public:
    virtual ~Device() = default;
    // Unique in the machine; names the section of the saved state and the log lines ("ahci0").
    [[nodiscard]] virtual std::string name() const = 0;
    // Back to the power-on state. Guest RAM is not touched.
    virtual void reset() = 0;
    virtual void start() {}
    // When it returns, the device has no host I/O in flight and touches neither guest memory nor interrupts.
    virtual void pause() {}
    virtual void resume() {}
    virtual void save(StateWriter& writer) const = 0;
    // On a failure (reader.ok() false) the machine is thrown away, so half-loaded state is harmless.
    virtual void load(StateReader& reader) = 0;
};

// What a device may ask of the machine. Any thread; the request is carried out later on the control thread.
enum class MachineRequest {
    reset,        // port 0xcf9, keyboard controller, port 0x92, ACPI reset register
    power_off,    // ACPI S5
    pause_no_space,  // host disk full: stop the vCPUs until the user has made room
    debug_exit,   // isa-debug-exit: `code` is the exit code
    panic,        // pvpanic: the guest's system crashed; it may go on
};

class MachineRequests {
  public:
    virtual ~MachineRequests() = default;
    virtual void request(MachineRequest what, int code = 0, const std::string& detail = {}) = 0;
};

class PciBus;  // devices/pci

// Everything a device is given. References outlive every device.
struct DeviceContext {
    GuestMemory& memory;
    IoSpace& ports;
    IoSpace& mmio;
    Clock& clock;
    IrqSink& gsi;        // line n = GSI n
    MsiSink& msi;
    MachineRequests& machine;
    PciBus* pci = nullptr;  // null on a board without PCI
};

}  // namespace skep
