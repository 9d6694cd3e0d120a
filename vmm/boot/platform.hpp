// SPDX-License-Identifier: GPL-3.0-or-later
// What the tables (ACPI, SMBIOS, MP, e820) say about the machine. The composer of the machine fills it in;
// it must agree with the devices that are really there.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace skep {

// The GSI (IO-APIC input) of pin 0..3 (INTA..INTD) of a slot on bus 0: the rule of the board's eight PIRQ lines.
constexpr unsigned default_pci_gsi(unsigned slot, unsigned pin) {
    return 16 + (slot + pin) % 8;
}

struct PlatformDescription {
    unsigned cpu_count = 1;                       // processors present, APIC ids 0 .. cpu_count-1; 1..4096
    uint64_t low_ram_bytes = 0;                   // RAM from address 0; ends at or below ecam_base
    uint64_t high_ram_bytes = 0;                  // RAM from 4 GiB
    unsigned serial_count = 1;                    // 16550s at COM1..COM4; 0..4
    bool has_hpet = true;                         // at 0xfed00000
    bool has_i8042 = true;                        // keyboard controller with keyboard and mouse
    uint16_t pm_base = 0x600;                     // ICH9 PM block: PM1 events +0, PM1 control +4, timer +8, GPE0 +0x20
    uint8_t s5_sleep_type = 0;                    // SLP_TYP that powers off; SeaBIOS itself writes 0 (with SLP_EN)
    bool has_vga = false;                         // VGA registers and 0xa0000-0xbffff answered
    uint8_t sci_irq = 9;                          // ACPI interrupt, level, active high
    uint64_t ecam_base = 0xb000'0000;             // 256 MiB of PCI configuration space, buses 0..255
    uint64_t pci_window_start = 0xc000'0000;      // 32-bit BARs
    uint64_t pci_window_end = 0xfec0'0000;        // first byte behind
    uint64_t pci_window64_size = 0x10'0000'0000;  // 64-bit BARs, from the next GiB boundary above high RAM; 0: none
    uint8_t io_apic_id = 0;
    unsigned (*pci_gsi)(unsigned slot, unsigned pin) = default_pci_gsi;
    std::array<uint8_t, 16> uuid{};  // of the VM, in the order it is printed
    std::string name = "Skep";       // of the VM: SMBIOS chassis asset tag
    std::string version = "1.0";     // of Skep

    // First address of the 64-bit window: above high RAM, 1 GiB aligned.
    [[nodiscard]] constexpr uint64_t pci_window64_start() const {
        constexpr uint64_t gib = uint64_t{1} << 30;
        return (0x1'0000'0000 + high_ram_bytes + gib - 1) / gib * gib;
    }
};

// Fixed addresses of the board.
inline constexpr uint32_t k_io_apic_base = 0xfec0'0000;
inline constexpr uint32_t k_hpet_base = 0xfed0'0000;
inline constexpr uint32_t k_local_apic_base = 0xfee0'0000;
inline constexpr uint32_t k_rcba_base = 0xfed1'c000;  // ICH9 root complex registers, 16 KiB

}  // namespace skep
