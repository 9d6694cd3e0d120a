// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/board.hpp"

#include <algorithm>

#include "devices/board/acpi_pm.hpp"
#include "devices/board/debug_ports.hpp"
#include "devices/board/dma8237.hpp"
#include "devices/board/hpet.hpp"
#include "devices/board/i8042.hpp"
#include "devices/board/ioapic.hpp"
#include "devices/board/irq_router.hpp"
#include "devices/board/lapic.hpp"
#include "devices/board/pic.hpp"
#include "devices/board/pit.hpp"
#include "devices/board/port92.hpp"
#include "devices/board/pvpanic.hpp"
#include "devices/board/rtc.hpp"
#include "devices/board/serial.hpp"

namespace skep {
namespace {

constexpr std::array<uint16_t, 4> k_serial_bases{0x3f8, 0x2f8, 0x3e8, 0x2e8};
constexpr unsigned k_ioapic_pin_of_8259 = 0;
constexpr unsigned k_irq_keyboard = 1;
constexpr unsigned k_irq_sci = 9;
constexpr unsigned k_irq_mouse = 12;

}  // namespace

// In the order of construction; what is above is used by what is below.
struct Q35Board::Parts {
    Parts(IoSpace& ports, IoSpace& mmio, Clock& clock, MachineRequests& machine, ProcessorSignals& signals,
          const BoardConfig& config)
        : pic(ports, [this](bool level) { set_intr(level); }),
          ioapic(mmio, bus),
          router(pic, ioapic),
          pit(ports, clock, IrqLine(router, IrqRouter::k_input_pit)),
          rtc(ports, clock, IrqLine(router, IrqRouter::k_input_rtc),
              RtcConfig{config.low_ram_bytes, config.high_ram_bytes, config.cpu_count}),
          hpet(mmio, clock, router),
          acpi_pm(ports, clock, machine, IrqLine(router, k_irq_sci)),
          i8042(ports, machine, IrqLine(router, k_irq_keyboard), IrqLine(router, k_irq_mouse)),
          port92(ports, machine),
          dma(ports),
          debug_console(ports, config.debug_console, config.debug_log ? DebugOutput::logged : DebugOutput::quiet),
          pvpanic(ports, machine) {
        for (unsigned cpu = 0; cpu < config.cpu_count; ++cpu) {
            lapics.push_back(std::make_unique<LocalApic>(cpu, clock, bus, signals, pic));
            bus.attach(*lapics.back());
        }
        bus.attach(ioapic);
        for (unsigned index = 0; index < std::min<size_t>(config.serial_count, k_serial_bases.size()); ++index) {
            serials.push_back(
                std::make_unique<Serial>(ports, clock, IrqLine(router, IrqRouter::k_input_serial + index),
                                         SerialConfig{index, k_serial_bases[index], config.serial[index]}));
        }
        if (config.debug_exit) {
            debug_exit = std::make_unique<DebugExit>(ports, machine);
        }
    }

    // INTR of the master 8259: LINT0 of every processor and pin 0 of the IO-APIC.
    void set_intr(bool level) {
        for (const auto& lapic : lapics) {
            lapic->set_lint0(level);
        }
        ioapic.set_pin(k_ioapic_pin_of_8259, level);
    }

    ApicBus bus;
    std::vector<std::unique_ptr<LocalApic>> lapics;
    Pic pic;
    IoApic ioapic;
    IrqRouter router;
    Pit pit;
    Rtc rtc;
    Hpet hpet;
    AcpiPm acpi_pm;
    I8042 i8042;
    Port92 port92;
    Dma8237 dma;
    DebugConsole debug_console;
    Pvpanic pvpanic;
    std::unique_ptr<DebugExit> debug_exit;
    std::vector<std::unique_ptr<Serial>> serials;
};

Q35Board::Q35Board(GuestMemory& memory, IoSpace& ports, IoSpace& mmio, Clock& clock, MachineRequests& machine,
                   ProcessorSignals& signals, const BoardConfig& config)
    : m_memory(memory),
      m_ports(ports),
      m_mmio(mmio),
      m_clock(clock),
      m_machine(machine),
      m_parts(std::make_unique<Parts>(ports, mmio, clock, machine, signals, config)) {}

Q35Board::~Q35Board() = default;

IrqSink& Q35Board::gsi() {
    return m_parts->router;
}

MsiSink& Q35Board::msi() {
    return m_parts->bus;
}

LocalInterruptController& Q35Board::local_apic(unsigned cpu) {
    return *m_parts->lapics.at(cpu);
}

DeviceContext Q35Board::context(PciBus* pci) {
    return {m_memory, m_ports, m_mmio, m_clock, gsi(), msi(), m_machine, pci};
}

std::vector<Device*> Q35Board::devices() {
    std::vector<Device*> all;
    for (const auto& lapic : m_parts->lapics) {
        all.push_back(lapic.get());
    }
    Parts& parts = *m_parts;
    all.insert(all.end(), {&parts.pic, &parts.ioapic, &parts.router, &parts.pit, &parts.rtc, &parts.hpet,
                           &parts.acpi_pm, &parts.i8042, &parts.port92, &parts.dma, &parts.debug_console, &parts.pvpanic});
    if (parts.debug_exit) {
        all.push_back(parts.debug_exit.get());
    }
    for (const auto& serial : m_parts->serials) {
        all.push_back(serial.get());
    }
    return all;
}

void Q35Board::set_pirq_route(unsigned index, std::optional<unsigned> isa_irq) {
    m_parts->router.set_pirq_route(index, isa_irq);
}

void Q35Board::set_pm_base(uint16_t base, bool enabled) {
    m_parts->acpi_pm.set_base(base, enabled);
}

void Q35Board::press_power_button() {
    m_parts->acpi_pm.press_power_button();
}

void Q35Board::key(std::span<const uint8_t> set1) {
    m_parts->i8042.type(set1);
}

AcpiPm& Q35Board::pm() {
    return m_parts->acpi_pm;
}

I8042& Q35Board::keyboard_controller() {
    return m_parts->i8042;
}

Rtc& Q35Board::rtc() {
    return m_parts->rtc;
}

}  // namespace skep
