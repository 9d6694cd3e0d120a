// SPDX-License-Identifier: GPL-3.0-or-later
// Q35Board: everything of a Q35/ICH9 PC that is not a PCI function: interrupt controllers, timers, clock,
// keyboard controller, serial ports, power management, debug ports.
// Lock order: device -> interrupt router -> 8259 pair / IO-APIC -> local APIC.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/device/char_backend.hpp"
#include "vmm/device/device.hpp"
#include "vmm/irq/local_apic.hpp"

namespace skep {

class AcpiPm;
class I8042;
class Rtc;

struct BoardConfig {
    unsigned cpu_count = 1;                // 1..255
    uint64_t low_ram_bytes = 0;            // RAM from address 0, for the CMOS
    uint64_t high_ram_bytes = 0;           // RAM from 4 GiB
    unsigned serial_count = 4;             // COM1..; 0..4
    std::array<CharBackend*, 4> serial{};  // null: nothing is plugged in
    CharBackend* debug_console = nullptr;  // bytes of port 0x402, besides the log
    bool debug_log = false;                // its lines are news for the log, and port 0xe9 is one, too
    bool debug_exit = false;               // isa-debug-exit at port 0xf4
};

class Q35Board {
  public:
    // Wires everything and claims ports and windows. All references outlive the board. Call reset of devices() before
    // use.
    Q35Board(GuestMemory& memory, IoSpace& ports, IoSpace& mmio, Clock& clock, MachineRequests& machine,
             ProcessorSignals& signals, const BoardConfig& config);
    ~Q35Board();
    Q35Board(const Q35Board&) = delete;
    Q35Board& operator=(const Q35Board&) = delete;

    // Line n = GSI n: 0..15 are the ISA IRQs (8259 and IO-APIC; IRQ 0 is IO-APIC pin 2), 16..23 PIRQA..PIRQH.
    [[nodiscard]] IrqSink& gsi();
    [[nodiscard]] MsiSink& msi();
    [[nodiscard]] LocalInterruptController& local_apic(unsigned cpu);
    // What PCI devices and others are given.
    [[nodiscard]] DeviceContext context(PciBus* pci);
    // In the order of reset, save and restore.
    [[nodiscard]] std::vector<Device*> devices();

    // --- for the LPC bridge (ICH9 1f.0), on any thread
    // PIRQ[index] (0..7 = A..H = GSI 16..23) also drives this 8259 input (3..7, 9..12, 14, 15), or none.
    void set_pirq_route(unsigned index, std::optional<unsigned> isa_irq);
    // PMBASE and ACPI_EN: where the 128-byte power management block answers.
    void set_pm_base(uint16_t base, bool enabled);

    // --- what the user does; any thread
    void press_power_button();
    // Scan codes of set 1, as a PC/XT keyboard sends them (0xe0 prefixes, bit 7 = release).
    void key(std::span<const uint8_t> set1);

    [[nodiscard]] AcpiPm& pm();
    [[nodiscard]] I8042& keyboard_controller();
    [[nodiscard]] Rtc& rtc();

  private:
    struct Parts;
    GuestMemory& m_memory;
    IoSpace& m_ports;
    IoSpace& m_mmio;
    Clock& m_clock;
    MachineRequests& m_machine;
    std::unique_ptr<Parts> m_parts;
};

}  // namespace skep
