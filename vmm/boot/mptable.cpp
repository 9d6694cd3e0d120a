// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/mptable.hpp"

#include <algorithm>

#include "vmm/boot/byte_writer.hpp"

namespace skep {
namespace {

constexpr uint8_t k_processor = 0, k_bus = 1, k_io_apic = 2, k_io_interrupt = 3, k_local_interrupt = 4;
constexpr uint8_t k_int = 0, k_nmi = 1, k_ext_int = 3;  // interrupt types (table 4-11)
constexpr uint16_t k_as_the_bus = 0, k_level_active_high = 0xd, k_level_active_low = 0xf;
constexpr uint8_t k_pci_bus_id = 0, k_isa_bus_id = 1;
constexpr uint8_t k_all_local_apics = 0xff;
constexpr uint8_t k_apic_version = 0x14, k_io_apic_version = 0x11;

class MpTable {
  public:
    MpTable() {
        m_out.text("PCMP").u16(0).u8(4).u8(0).text("SKEP    ").text("SKEP PC     ").u32(0).u16(0).u16(0);
        m_out.u32(k_local_apic_base).u16(0).u8(0).u8(0);
    }
    void processor(unsigned id) {
        constexpr uint8_t k_enabled = 1, k_boot = 2;
        constexpr uint32_t k_signature = 0x600, k_fpu_and_apic = 0x201;
        entry(k_processor).u8(id).u8(k_apic_version).u8(k_enabled | (id == 0 ? k_boot : 0));
        m_out.u32(k_signature).u32(k_fpu_and_apic).u64(0);
    }
    void bus(uint8_t id, std::string_view name) { entry(k_bus).u8(id).text(name); }
    void io_apic(uint8_t id) {
        constexpr uint8_t k_enabled = 1;
        entry(k_io_apic).u8(id).u8(k_io_apic_version).u8(k_enabled).u32(k_io_apic_base);
    }
    void interrupt(uint8_t entry_type, uint8_t type, uint16_t flags, uint8_t bus, unsigned source, uint8_t apic,
                   unsigned pin) {
        entry(entry_type).u8(type).u16(flags).u8(bus).u8(source).u8(apic).u8(pin);
    }
    [[nodiscard]] std::vector<std::byte> finish() {
        std::vector<std::byte>& bytes = m_out.content();
        store(bytes, 4, bytes.size());
        store(bytes, 34, m_entries);
        bytes[7] = zero_sum(bytes);
        return m_out.take();
    }

  private:
    ByteWriter& entry(uint8_t type) {
        ++m_entries;
        return m_out.u8(type);
    }
    static void store(std::vector<std::byte>& bytes, size_t offset, size_t value) {
        bytes[offset] = static_cast<std::byte>(value);
        bytes[offset + 1] = static_cast<std::byte>(value >> 8);
    }

    ByteWriter m_out;
    size_t m_entries = 0;
};

}  // namespace

std::vector<std::byte> build_mp_table(const PlatformDescription& platform) {
    constexpr unsigned k_most_processors = 255, k_isa_irqs = 16, k_slots = 32, k_pins = 4;
    MpTable table;
    for (unsigned id = 0; id < std::min(platform.cpu_count, k_most_processors); ++id) {
        table.processor(id);
    }
    table.bus(k_pci_bus_id, "PCI   ");
    table.bus(k_isa_bus_id, "ISA   ");
    table.io_apic(platform.io_apic_id);
    for (unsigned irq = 0; irq < k_isa_irqs; ++irq) {
        if (irq == 2) {
            continue;  // the cascade
        }
        const uint16_t flags = irq == platform.sci_irq ? k_level_active_high : k_as_the_bus;
        table.interrupt(k_io_interrupt, k_int, flags, k_isa_bus_id, irq, platform.io_apic_id, irq == 0 ? 2 : irq);
    }
    for (unsigned slot = 0; slot < k_slots; ++slot) {
        for (unsigned pin = 0; pin < k_pins; ++pin) {
            table.interrupt(k_io_interrupt, k_int, k_level_active_low, k_pci_bus_id, (slot << 2) | pin,
                            platform.io_apic_id, platform.pci_gsi(slot, pin));
        }
    }
    table.interrupt(k_local_interrupt, k_ext_int, k_as_the_bus, k_isa_bus_id, 0, k_all_local_apics, 0);
    table.interrupt(k_local_interrupt, k_nmi, k_as_the_bus, k_isa_bus_id, 0, k_all_local_apics, 1);
    return table.finish();
}

std::vector<std::byte> mp_floating_pointer(uint32_t table_address) {
    ByteWriter out;
    out.text("_MP_").u32(table_address).u8(1).u8(4).u8(0).zeros(5);
    out.content()[10] = zero_sum(out.content());
    return out.take();
}

}  // namespace skep
