// SPDX-License-Identifier: GPL-3.0-or-later
// A bus with one function that has every kind of BAR and interrupt.
#pragma once

#include <utility>
#include <vector>

#include "devices/pci/pci_bus.hpp"
#include "tests/support/fake_machine.hpp"

namespace skep::test {

class ProbeFunction final : public PciFunction {
  public:
    static constexpr unsigned k_io_bar = 0;
    static constexpr unsigned k_memory_bar = 1;
    static constexpr unsigned k_wide_bar = 2;
    static constexpr unsigned k_msix_bar = 4;
    static constexpr unsigned k_vectors = 70;

    explicit ProbeFunction(DeviceContext& context, PciAddress address = {3, 0}, IntxPin pin = IntxPin::a)
        : PciFunction(context, "probe", address,
                      {.vendor = 0x1af4, .device = 0x10ff, .class_code = 0x0880'00, .revision = 7, .pin = pin}) {
        add_bar({.index = k_io_bar, .kind = BarKind::io, .size = 0x20});
        add_bar({.index = k_memory_bar, .kind = BarKind::memory32, .size = 0x1000});
        add_bar({.index = k_wide_bar, .kind = BarKind::memory64, .size = 0x10000, .prefetch = Prefetch::yes, .max_width = 8});
        add_bar({.index = k_msix_bar, .kind = BarKind::memory32, .size = 0x4000});
        msix_offset_in_config = 0x40;
        add_msix(k_vectors, k_msix_bar, 0x1000, 0x2000);
        add_msi(4);
    }
    using PciFunction::intx;
    using PciFunction::notify_message;
    using PciFunction::set_intx;

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned /*size*/) override { return bar << 24 | offset; }
    void bar_write(unsigned bar, uint64_t offset, unsigned /*size*/, uint64_t value) override {
        writes.push_back({bar << 24 | offset, value});
    }
    std::vector<std::pair<uint64_t, uint64_t>> writes;
    unsigned msix_offset_in_config = 0;
};

struct PciMachine : FakeMachine {
    PciMachine() : bus(context) {
        context.pci = &bus;
        bus.reset();
    }
    // Configuration as a guest does it, through the ports.
    uint32_t read(PciAddress at, unsigned offset, unsigned size = 4) {
        ports.write(0xcf8, 4, 0x8000'0000U | at.devfn() << 8 | (offset & 0xfc));
        return static_cast<uint32_t>(ports.read(0xcfc + (offset & 3), size));
    }
    void write(PciAddress at, unsigned offset, uint32_t value, unsigned size = 4) {
        ports.write(0xcf8, 4, 0x8000'0000U | at.devfn() << 8 | (offset & 0xfc));
        ports.write(0xcfc + (offset & 3), size, value);
    }
    PciBus bus;
};

}  // namespace skep::test
