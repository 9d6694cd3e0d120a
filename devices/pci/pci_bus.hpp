// SPDX-License-Identifier: GPL-3.0-or-later
// PCI bus 0: routes configuration accesses (ports 0xcf8/0xcfc, and the ECAM window that the host bridge places) to
// its functions, and joins their INTx pins into PIRQA-H (PCI 3.0, 3.2.2.3; PCI Express 3.0, 7.2.2).
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <mutex>
#include <optional>

#include "devices/pci/intx.hpp"
#include "devices/pci/pci_function.hpp"
#include "vmm/device/device.hpp"

namespace skep {

// Made before the functions, which attach themselves (through DeviceContext::pci) and leave when destroyed.
class PciBus final : public Device {
  public:
    // Claims the config ports at once. Everything in the context but `pci` is used and outlives the bus.
    explicit PciBus(const DeviceContext& context);

    [[nodiscard]] std::string name() const override { return "pci"; }
    void reset() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // The function at an address, or null. Control thread.
    [[nodiscard]] PciFunction* function(PciAddress address) const { return m_functions[address.devfn()]; }

    // What a guest does through the ports, for code that stands in for firmware (direct boot). Any thread; size 1, 2, 4.
    uint32_t config_read(PciAddress address, unsigned offset, unsigned size);
    void config_write(PciAddress address, unsigned offset, unsigned size, uint32_t value);

    // --- for the functions -----------------------------------------------------------------------------
    void attach(PciFunction& function);
    void detach(PciFunction& function);
    // Any thread; the wire is the OR of all pins on it.
    void set_intx(PciAddress address, IntxPin pin, bool level);
    void restore_intx(PciAddress address, IntxPin pin, bool level);
    struct EcamWindow {
        uint64_t base = 0;
        uint64_t size = 0;  // 1 MiB a bus
        bool operator==(const EcamWindow&) const = default;
    };
    void place_ecam(std::optional<EcamWindow> window);  // by the host bridge, inside its config write or reset

  private:
    struct Ports final : IoHandler {
        explicit Ports(PciBus& owner) : bus(owner) {}
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
        PciBus& bus;
    };
    struct Ecam final : IoHandler {
        explicit Ecam(PciBus& owner) : bus(owner) {}
        uint64_t io_read(uint64_t offset, unsigned size) override;
        void io_write(uint64_t offset, unsigned size, uint64_t value) override;
        PciBus& bus;
    };

    // By bus:device.function number; no such function reads as all ones.
    [[nodiscard]] uint32_t read(unsigned bus_devfn, unsigned offset, unsigned size) const;
    void write(unsigned bus_devfn, unsigned offset, unsigned size, uint32_t value);

    DeviceContext m_context;
    IoGate m_gate;  // taken before a function's gate
    Ports m_ports{*this};
    Ecam m_ecam{*this};
    std::array<PciFunction*, 256> m_functions{};
    uint32_t m_config_address = 0;
    std::optional<EcamWindow> m_ecam_window;
    IoClaim m_port_claim;
    IoClaim m_ecam_claim;

    std::mutex m_intx_mutex;  // taken inside a function's gate, outside the interrupt controllers'
    std::array<std::bitset<256>, k_pirq_count> m_intx;
};

}  // namespace skep
