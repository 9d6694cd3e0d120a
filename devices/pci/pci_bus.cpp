// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/pci_bus.hpp"

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_config_address_port = 0xcf8;
constexpr uint64_t k_config_port_count = 8;
constexpr uint64_t k_config_data = 4;  // CONFIG_DATA from CONFIG_ADDRESS
constexpr uint32_t k_address_enable = 0x8000'0000;
constexpr uint32_t k_address_mask = 0x80ff'fffc;

unsigned pirq_for(PciAddress address, IntxPin pin) { return pirq_of(address.slot, static_cast<unsigned>(pin) - 1); }

}  // namespace

// The ports yield to the reset register at 0xcf9, whichever was claimed first.
PciBus::PciBus(const DeviceContext& context)
    : m_context(context),
      m_port_claim(m_context.ports.claim({k_config_address_port, k_config_port_count, 1, 4, k_priority_pci_bar}, m_ports,
                                         m_gate)) {}

void PciBus::attach(PciFunction& function) {
    m_functions[function.address().devfn()] = &function;
    const unsigned first = function.address().slot * 8U;
    unsigned count = 0;
    for (unsigned i = 0; i < 8; ++i) {
        count += m_functions[first + i] != nullptr ? 1 : 0;
    }
    for (unsigned i = 0; i < 8 && count > 1; ++i) {
        if (m_functions[first + i] != nullptr) {
            m_functions[first + i]->set_multifunction();
        }
    }
}

void PciBus::detach(PciFunction& function) {
    PciFunction*& place = m_functions[function.address().devfn()];
    if (place == &function) {
        place = nullptr;
    }
}

uint32_t PciBus::read(unsigned bus_devfn, unsigned offset, unsigned size) const {
    PciFunction* function = bus_devfn < m_functions.size() ? m_functions[bus_devfn] : nullptr;
    return function != nullptr ? function->config_read(offset, size) : static_cast<uint32_t>(all_ones(size));
}

void PciBus::write(unsigned bus_devfn, unsigned offset, unsigned size, uint32_t value) {
    if (bus_devfn < m_functions.size() && m_functions[bus_devfn] != nullptr) {
        m_functions[bus_devfn]->config_write(offset, size, value);
    }
}

uint32_t PciBus::config_read(PciAddress address, unsigned offset, unsigned size) {
    const std::lock_guard lock(m_gate);
    return read(address.devfn(), offset, size);
}

void PciBus::config_write(PciAddress address, unsigned offset, unsigned size, uint32_t value) {
    const std::lock_guard lock(m_gate);
    write(address.devfn(), offset, size, value);
}

uint64_t PciBus::Ports::io_read(uint64_t offset, unsigned size) {
    if (offset < k_config_data) {
        return bits(bus.m_config_address, static_cast<unsigned>(offset) * 8, size * 8);
    }
    const uint32_t address = bus.m_config_address;
    if ((address & k_address_enable) == 0) {
        return all_ones(size);
    }
    const auto byte = static_cast<unsigned>(offset - k_config_data);
    return bus.read(static_cast<unsigned>(bits(address, 8, 16)), (address & 0xfc) + byte, size);
}

void PciBus::Ports::io_write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset < k_config_data) {
        if (offset == 0 && size == 4) {  // only a dword write is CONFIG_ADDRESS (PCI 3.0, 3.2.2.3.2)
            bus.m_config_address = static_cast<uint32_t>(value) & k_address_mask;
        }
        return;
    }
    const uint32_t address = bus.m_config_address;
    if ((address & k_address_enable) != 0) {
        const auto byte = static_cast<unsigned>(offset - k_config_data);
        bus.write(static_cast<unsigned>(bits(address, 8, 16)), (address & 0xfc) + byte, size,
                  static_cast<uint32_t>(value));
    }
}

uint64_t PciBus::Ecam::io_read(uint64_t offset, unsigned size) {
    return bus.read(static_cast<unsigned>(offset >> 12), static_cast<unsigned>(offset & 0xfff), size);
}

void PciBus::Ecam::io_write(uint64_t offset, unsigned size, uint64_t value) {
    bus.write(static_cast<unsigned>(offset >> 12), static_cast<unsigned>(offset & 0xfff), size,
              static_cast<uint32_t>(value));
}

void PciBus::place_ecam(std::optional<EcamWindow> window) {
    if (window == m_ecam_window) {
        return;
    }
    m_ecam_claim.release();
    m_ecam_window = window;
    if (window) {
        m_ecam_claim = m_context.mmio.claim({window->base, window->size, 1, 4}, m_ecam, m_gate);
    }
}

void PciBus::set_intx(PciAddress address, IntxPin pin, bool level) {
    const unsigned pirq = pirq_for(address, pin);
    const std::lock_guard lock(m_intx_mutex);
    const bool before = m_intx[pirq].any();
    m_intx[pirq].set(address.devfn(), level);
    if (m_intx[pirq].any() != before) {
        m_context.gsi.set_line(k_first_pirq_gsi + pirq, level);
    }
}

void PciBus::restore_intx(PciAddress address, IntxPin pin, bool level) {
    const std::lock_guard lock(m_intx_mutex);
    m_intx[pirq_for(address, pin)].set(address.devfn(), level);
}

void PciBus::reset() {
    const std::lock_guard lock(m_gate);
    m_config_address = 0;
}

void PciBus::save(StateWriter& writer) const {
    writer.section(name(), 1);
    writer.put(m_config_address);
}

void PciBus::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), 1);
    m_config_address = reader.get<uint32_t>() & k_address_mask;
}

}  // namespace skep
