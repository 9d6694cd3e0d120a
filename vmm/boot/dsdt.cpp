// SPDX-License-Identifier: GPL-3.0-or-later
// After ACPI 6.4 (chapters 5, 6 and 9) and the PCI Firmware Specification 3.2 (root bridge, _OSC, ECAM reservation).
#include "vmm/boot/dsdt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "vmm/boot/aml.hpp"

namespace skep::acpi {
namespace {

constexpr unsigned k_pci_slots = 32;
constexpr unsigned k_pci_pins = 4;
constexpr unsigned k_pirq_lines = 8;
constexpr uint32_t k_lpc_address = 0x001f'0000;  // _ADR of 00:1f.0
constexpr uint64_t k_ecam_bytes = 256 << 20;

std::string link_name(unsigned line) {
    return fmt::format("LNK{:c}", 'A' + static_cast<char>(line));
}
// PIRQ route register of a line in the LPC bridge: 0x60-0x63 for A-D, 0x68-0x6b for E-H (ICH9, 13.1.18 and 13.1.20).
std::string route_name(unsigned line) {
    return fmt::format("PRQ{:c}", 'A' + static_cast<char>(line));
}

Term id(std::string_view eisa) {
    return name("_HID", eisa_id(eisa));
}
Term resources(const Resources& content) {
    return name("_CRS", content.term());
}

// --- interrupt routing (6.2.13 _PRT) -----------------------------------------------------------------------------

// One row: any function of the slot, its pin, where the interrupt goes.
Term routing_row(unsigned slot, unsigned pin, const Term& source, unsigned index) {
    return package({integer((slot << 16) | 0xffff), integer(pin), source, integer(index)});
}

// The two routings: by link device while the system uses the 8259 pair, by GSI once it said _PIC(1).
Terms routing_tables(const PlatformDescription& platform) {
    Terms by_link, by_gsi;
    for (unsigned slot = 0; slot < k_pci_slots; ++slot) {
        for (unsigned pin = 0; pin < k_pci_pins; ++pin) {
            const unsigned gsi = platform.pci_gsi(slot, pin);
            by_gsi.push_back(routing_row(slot, pin, integer(0), gsi));
            by_link.push_back(routing_row(slot, pin, path("\\_SB." + link_name((gsi - 16) % k_pirq_lines)), 0));
        }
    }
    return {name("PRTL", package(by_link)), name("PRTG", package(by_gsi)),
            method("_PRT", 0, Serialize::no,
                   {when(equal(path("\\PICF"), integer(0)), {give_back(path("PRTL"))}), give_back(path("PRTG"))})};
}

// A PCI interrupt link device (6.2.13, "PNP0C0F"): the 8259 input that a PIRQ line drives.
Term link_device(unsigned line) {
    constexpr uint16_t k_possible_irqs = (1 << 5) | (1 << 10) | (1 << 11);
    constexpr uint64_t k_mask_offset = 1;  // of the IRQ mask inside the small IRQ descriptor
    const Term route = path("\\_SB.PCI0.ISA_." + route_name(line));
    const Term disabled = bit_and(route, integer(0x80));
    return device(
        link_name(line),
        {id("PNP0C0F"), name("_UID", integer(line)), name("_PRS", Resources().shared_irqs(k_possible_irqs).term()),
         method("_STA", 0, Serialize::no, {when(disabled, {give_back(integer(0x9))}), give_back(integer(0xb))}),
         method("_DIS", 0, Serialize::no, {bit_or(route, integer(0x80), route)}),
         name("BUF0", Resources().shared_irqs(0).term()),
         method("_CRS", 0, Serialize::yes,
                {create_word_field(path("BUF0"), integer(k_mask_offset), "IRQM"), store(integer(0), path("IRQM")),
                 when(logical_not(disabled), {shift_left(integer(1), bit_and(route, integer(0xf)), path("IRQM"))}),
                 give_back(path("BUF0"))}),
         method(
             "_SRS", 1, Serialize::yes,
             {create_word_field(argument(0), integer(k_mask_offset), "IRQM"),
              find_set_right_bit(path("IRQM"), local(0)), when(local(0), {subtract(local(0), integer(1), route)})})});
}

// --- the root bridge ---------------------------------------------------------------------------------------------

Term root_bridge_windows(const PlatformDescription& platform) {
    Resources windows;
    windows.bus_window(0, 255)
        .io(0xcf8, 8)  // the configuration ports are the bridge's own
        .io_window(0, 0xcf7)
        .io_window(0xd00, 0xffff)
        .memory_window32(0xa0000, 0xbffff)
        .memory_window32(static_cast<uint32_t>(platform.pci_window_start),
                         static_cast<uint32_t>(platform.pci_window_end - 1));
    if (platform.pci_window64_size != 0) {
        const uint64_t start = platform.pci_window64_start();
        windows.memory_window64(start, start + platform.pci_window64_size - 1);
    }
    return resources(windows);
}

// _OSC (6.2.11.3): grants the system every PCI Express feature it asks for except hot plug, which the board lacks.
Term operating_system_capabilities() {
    constexpr uint64_t k_grantable = 0x1c;  // PME, AER, capability structure
    constexpr uint64_t k_bad_uuid = 4;
    return method("_OSC", 4, Serialize::yes,
                  {create_dword_field(argument(3), integer(0), "CDW1"),
                   when(equal(argument(0), uuid("33DB4D5B-1FF7-401C-9657-7441C03DD766")),
                        {create_dword_field(argument(3), integer(8), "CDW3"),
                         bit_and(path("CDW3"), integer(k_grantable), path("CDW3"))}),
                   otherwise({bit_or(path("CDW1"), integer(k_bad_uuid), path("CDW1"))}), give_back(argument(3))});
}

// --- ISA devices behind the LPC bridge ---------------------------------------------------------------------------

Term serial_port(unsigned index) {
    constexpr uint16_t k_ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    constexpr uint8_t k_irqs[] = {4, 3, 4, 3};
    return device(fmt::format("COM{}", index + 1),
                  {id("PNP0501"), name("_UID", integer(index + 1)), name("_STA", integer(0xf)),
                   resources(Resources().io(k_ports[index], 8).irq(k_irqs[index]))});
}

// By which a system says that it crashed (QEMU's pvpanic specification).
Term panic_port() {
    return device("PEVT", {name("_HID", string("QEMU0001")), name("_STA", integer(0xf)), resources(Resources().io(0x505, 1))});
}

Terms keyboard_and_mouse() {
    return {device("KBD_",
                   {id("PNP0303"), name("_STA", integer(0xf)), resources(Resources().io(0x60, 1).io(0x64, 1).irq(1))}),
            device("MOU_", {id("PNP0F13"), name("_STA", integer(0xf)), resources(Resources().irq(12))})};
}

// Ports that belong to no other device: so that nobody puts a BAR there (9.11 of ACPI 6.4; PNP0C02).
Term motherboard_ports(const PlatformDescription& platform) {
    return device("MBIO", {id("PNP0C02"), name("_UID", integer(0)),
                           resources(Resources()
                                         .io(0x61, 1)    // system control port B
                                         .io(0x80, 1)    // POST codes
                                         .io(0x92, 1)    // system control port A
                                         .io(0xb2, 2)    // APM control and status
                                         .io(0x402, 1)   // firmware debug text
                                         .io(0x4d0, 2)   // ELCR
                                         .io(0x510, 12)  // fw_cfg
                                         .io(platform.pm_base, 0x80))});
}

Term lpc_bridge(const PlatformDescription& platform) {
    Terms body{name("_ADR", integer(k_lpc_address)),
               operation_region("PIRQ", RegionSpace::pci_config, integer(0x60), integer(0x0c))};
    std::vector<std::string> names;
    for (unsigned line = 0; line < k_pirq_lines; ++line) {
        names.push_back(route_name(line));
    }
    std::vector<FieldUnit> routes;
    for (unsigned line = 0; line < k_pirq_lines; ++line) {
        if (line == 4) {
            routes.push_back({"", 32});  // 0x64-0x67: the serial IRQ register and others
        }
        routes.push_back({names[line], 8});
    }
    body.push_back(field("PIRQ", FieldAccess::byte, routes));
    body.push_back(device("RTC_", {id("PNP0B00"), resources(Resources().io(0x70, 8).irq(8))}));
    body.push_back(device("TIMR", {id("PNP0100"), resources(Resources().io(0x40, 4).irq(0))}));
    body.push_back(device("PIC_", {id("PNP0000"), resources(Resources().io(0x20, 2).io(0xa0, 2).irq(2))}));
    body.push_back(motherboard_ports(platform));
    body.push_back(panic_port());
    if (platform.has_i8042) {
        const Terms devices = keyboard_and_mouse();
        body.insert(body.end(), devices.begin(), devices.end());
    }
    for (unsigned index = 0; index < std::min(platform.serial_count, 4u); ++index) {
        body.push_back(serial_port(index));
    }
    return device("ISA_", body);
}

Term root_bridge(const PlatformDescription& platform) {
    Terms body{id("PNP0A08"),
               name("_CID", eisa_id("PNP0A03")),
               name("_UID", integer(0)),
               name("_SEG", integer(0)),
               name("_BBN", integer(0)),
               root_bridge_windows(platform),
               operating_system_capabilities()};
    const Terms routing = routing_tables(platform);
    body.insert(body.end(), routing.begin(), routing.end());
    body.push_back(lpc_bridge(platform));
    return device("PCI0", body);
}

// --- the rest of \_SB --------------------------------------------------------------------------------------------

// ECAM must be reserved by a motherboard device, not only by MCFG (PCI Firmware 3.2, 4.1.2).
Term motherboard_memory(const PlatformDescription& platform) {
    return device("MBMM", {id("PNP0C01"), name("_UID", integer(0)),
                           resources(Resources()
                                         .memory32(static_cast<uint32_t>(platform.ecam_base), k_ecam_bytes)
                                         .memory32(k_rcba_base, 0x4000))});
}

Term hpet() {
    return device("HPET",
                  {id("PNP0103"), name("_UID", integer(0)), resources(Resources().memory32(k_hpet_base, 0x400))});
}

Term processor(unsigned index) {
    return device(fmt::format("C{:03X}", index), {name("_HID", string("ACPI0007")), name("_UID", integer(index))});
}

}  // namespace

std::vector<std::byte> dsdt_code(const PlatformDescription& platform) {
    Terms system_bus;
    for (unsigned index = 0; index < platform.cpu_count; ++index) {
        system_bus.push_back(processor(index));
    }
    system_bus.push_back(root_bridge(platform));
    for (unsigned line = 0; line < k_pirq_lines; ++line) {
        system_bus.push_back(link_device(line));
    }
    system_bus.push_back(motherboard_memory(platform));
    if (platform.has_hpet) {
        system_bus.push_back(hpet());
    }
    const Term sleep_type = integer(platform.s5_sleep_type);
    const Terms code{name("\\PICF", integer(0)), method("\\_PIC", 1, Serialize::no, {store(argument(0), path("PICF"))}),
                     name("\\_S5", package({sleep_type, sleep_type, integer(0), integer(0)})),
                     scope("\\_SB", system_bus)};
    std::vector<std::byte> bytes;
    for (const Term& term : code) {
        bytes.insert(bytes.end(), term.bytes.begin(), term.bytes.end());
    }
    return bytes;
}

}  // namespace skep::acpi
