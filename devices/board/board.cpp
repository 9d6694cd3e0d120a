// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/board.hpp"

#include <algorithm>

#include "devices/board/ioapic.hpp"
#include "devices/board/irq_router.hpp"
#include "devices/board/lapic.hpp"
#include "devices/board/pic.hpp"
#include "devices/board/pit.hpp"
#include "devices/board/rtc.hpp"
#include "devices/board/serial.hpp"

namespace skep {
namespace {

constexpr std::array<uint16_t, 4> k_serial_bases{0x3f8, 0x2f8, 0x3e8, 0x2e8};
constexpr unsigned k_ioapic_pin_of_8259 = 0;

}  // namespace

// In the order of construction; what is above is used by what is below.
struct Q35Board::Parts {
    Parts(IoSpace& ports, IoSpace& mmio, Clock& clock, ProcessorSignals& signals, const BoardConfig& config)
        : pic(ports, [this](bool level) { set_intr(level); }),
          ioapic(mmio, bus),
          router(pic, ioapic),
          pit(ports, clock, IrqLine(router, IrqRouter::k_input_pit)),
          rtc(ports, clock, IrqLine(router, IrqRouter::k_input_rtc),
              RtcConfig{config.low_ram_bytes, config.high_ram_bytes, config.cpu_count}) {
        for (unsigned cpu = 0; cpu < config.cpu_count; ++cpu) {
            lapics.push_back(std::make_unique<LocalApic>(cpu, clock, bus, signals, pic));
            bus.attach(*lapics.back());
        }
        bus.attach(ioapic);
        for (unsigned index = 0; index < std::min<size_t>(config.serial_count, k_serial_bases.size()); ++index) {
            serials.push_back(std::make_unique<Serial>(ports, clock, IrqLine(router, IrqRouter::k_input_serial + index),
                                                       SerialConfig{index, k_serial_bases[index], config.serial[index]}));
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
    std::vector<std::unique_ptr<Serial>> serials;
};

Q35Board::Q35Board(GuestMemory& memory, IoSpace& ports, IoSpace& mmio, Clock& clock, MachineRequests& machine,
                   ProcessorSignals& signals, const BoardConfig& config)
    : m_memory(memory),
      m_ports(ports),
      m_mmio(mmio),
      m_clock(clock),
      m_machine(machine),
      m_parts(std::make_unique<Parts>(ports, mmio, clock, signals, config)) {}

Q35Board::~Q35Board() = default;

IrqSink& Q35Board::gsi() { return m_parts->router; }

MsiSink& Q35Board::msi() { return m_parts->bus; }

LocalInterruptController& Q35Board::local_apic(unsigned cpu) { return *m_parts->lapics.at(cpu); }

DeviceContext Q35Board::context(PciBus* pci) {
    return {m_memory, m_ports, m_mmio, m_clock, gsi(), msi(), m_machine, pci};
}

std::vector<Device*> Q35Board::devices() {
    std::vector<Device*> all;
    for (const auto& lapic : m_parts->lapics) {
        all.push_back(lapic.get());
    }
    all.insert(all.end(), {&m_parts->pic, &m_parts->ioapic, &m_parts->router, &m_parts->pit, &m_parts->rtc});
    for (const auto& serial : m_parts->serials) {
        all.push_back(serial.get());
    }
    return all;
}

void Q35Board::set_pirq_route(unsigned index, std::optional<unsigned> isa_irq) {
    m_parts->router.set_pirq_route(index, isa_irq);
}

Rtc& Q35Board::rtc() { return m_parts->rtc; }

}  // namespace skep
