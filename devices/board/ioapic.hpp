// SPDX-License-Identifier: GPL-3.0-or-later
// IoApic: the 82093AA I/O APIC as in ICH9, 24 pins at 0xfec00000, version 0x20 with the EOI register
// (82093AA data sheet 3.0; ICH9 data sheet 13.5). Left out: active-low inputs differ from active-high ones only
// in the stored bit, since the board's wires carry "asserted" and not volts.
#pragma once

#include <array>

#include "devices/board/apic_bus.hpp"
#include "vmm/device/device.hpp"

namespace skep {

class IoApic final : public Device, public IoHandler, public EoiListener {
  public:
    static constexpr unsigned k_pins = 24;
    static constexpr uint64_t k_address = 0xfec0'0000;

    IoApic(IoSpace& mmio, ApicBus& bus);

    [[nodiscard]] std::string name() const override { return "ioapic"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

    void set_pin(unsigned pin, bool level);          // any thread
    void end_of_interrupt(uint8_t vector) override;  // any thread, no local APIC's lock held

  private:
    void write_entry(unsigned index, uint32_t value);
    void service(unsigned pin);  // sends the pin's message if it may go now
    [[nodiscard]] uint32_t read_data() const;
    void write_data(uint32_t value);
    void complete(uint8_t vector);

    ApicBus& m_bus;
    mutable IoGate m_gate;
    uint8_t m_select = 0;
    uint32_t m_id = 0;
    std::array<uint64_t, k_pins> m_entries{};
    uint32_t m_levels = 0;  // of the pins
    IoClaim m_claim;
};

}  // namespace skep
