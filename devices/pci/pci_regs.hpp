// SPDX-License-Identifier: GPL-3.0-or-later
// Names of the configuration registers (PCI Local Bus Specification 3.0, chapter 6).
#pragma once

#include <cstdint>

namespace skep::pci {

inline constexpr unsigned k_config_size = 256;
inline constexpr unsigned k_bar_count = 6;

inline constexpr unsigned k_vendor_id = 0x00;
inline constexpr unsigned k_device_id = 0x02;
inline constexpr unsigned k_command = 0x04;
inline constexpr unsigned k_status = 0x06;
inline constexpr unsigned k_revision_id = 0x08;
inline constexpr unsigned k_class_code = 0x09;
inline constexpr unsigned k_cache_line_size = 0x0c;
inline constexpr unsigned k_header_type = 0x0e;
inline constexpr unsigned k_bar0 = 0x10;
inline constexpr unsigned k_subsystem_vendor_id = 0x2c;
inline constexpr unsigned k_subsystem_id = 0x2e;
inline constexpr unsigned k_expansion_rom = 0x30;
inline constexpr unsigned k_capabilities_pointer = 0x34;
inline constexpr unsigned k_interrupt_line = 0x3c;
inline constexpr unsigned k_interrupt_pin = 0x3d;
inline constexpr unsigned k_device_specific = 0x40;  // the first byte after the standard header

inline constexpr uint16_t k_command_io = 1 << 0;
inline constexpr uint16_t k_command_memory = 1 << 1;
inline constexpr uint16_t k_command_bus_master = 1 << 2;
inline constexpr uint16_t k_command_parity = 1 << 6;
inline constexpr uint16_t k_command_serr = 1 << 8;
inline constexpr uint16_t k_command_intx_disable = 1 << 10;

inline constexpr uint16_t k_status_interrupt = 1 << 3;
inline constexpr uint16_t k_status_capabilities = 1 << 4;

inline constexpr uint8_t k_header_multifunction = 0x80;

inline constexpr uint8_t k_cap_power_management = 0x01;
inline constexpr uint8_t k_cap_msi = 0x05;
inline constexpr uint8_t k_cap_vendor = 0x09;
inline constexpr uint8_t k_cap_msix = 0x11;
inline constexpr uint8_t k_cap_sata = 0x12;

}  // namespace skep::pci
