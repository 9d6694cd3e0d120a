// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/pci_resources.hpp"

#include <algorithm>
#include <cstdint>

#include "devices/pci/pci_bus.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr unsigned k_command = 0x04;
constexpr unsigned k_first_bar = 0x10;
constexpr unsigned k_bar_count = 6;

struct Windows {
    uint32_t memory = 0xc000'0000;
    uint32_t io = 0xc000;
};

// Sizes and places the BAR at `offset`; returns how many dwords it takes.
unsigned place_bar(PciBus& bus, PciAddress address, unsigned offset, Windows& windows) {
    bus.config_write(address, offset, 4, 0xffff'ffff);
    const uint32_t mask = bus.config_read(address, offset, 4);
    if (mask == 0) {
        return 1;
    }
    const bool is_io = (mask & 1) != 0;
    const bool is_64_bit = !is_io && (mask & 6) == 4;
    const uint32_t size_mask = is_io ? (mask & ~3U) | 0xffff'0000U : mask & ~15U;
    const uint32_t size = ~size_mask + 1;
    uint32_t& next = is_io ? windows.io : windows.memory;
    next = static_cast<uint32_t>(align_up(next, std::max<uint32_t>(size, is_io ? 4 : 0x1000)));
    bus.config_write(address, offset, 4, next);
    if (is_64_bit) {
        bus.config_write(address, offset + 4, 4, 0);
    }
    next += size;
    return is_64_bit ? 2 : 1;
}

}  // namespace

void assign_pci_resources(PciBus& bus) {
    Windows windows;
    for (unsigned devfn = 0; devfn < 256; ++devfn) {
        const PciAddress address{static_cast<uint8_t>(devfn >> 3), static_cast<uint8_t>(devfn & 7)};
        if (bus.function(address) == nullptr) {
            continue;
        }
        for (unsigned bar = 0; bar < k_bar_count;) {
            bar += place_bar(bus, address, k_first_bar + bar * 4, windows);
        }
        bus.config_write(address, k_command, 2, 0x3);  // I/O and memory decoding; drivers enable bus mastering
    }
}

}  // namespace skep
