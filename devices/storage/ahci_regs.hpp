// SPDX-License-Identifier: GPL-3.0-or-later
// Registers and structures of the Serial ATA AHCI 1.3.1 specification, chapters 3 and 4.
#pragma once

#include <cstdint>

namespace skep::ahci {

inline constexpr unsigned k_port_count = 6;
inline constexpr unsigned k_slot_count = 32;
inline constexpr unsigned k_abar_size = 0x1000;
inline constexpr unsigned k_ports_start = 0x100;
inline constexpr unsigned k_port_size = 0x80;

// 3.1 Generic host control.
inline constexpr unsigned k_cap = 0x00;
inline constexpr unsigned k_ghc = 0x04;
inline constexpr unsigned k_is = 0x08;
inline constexpr unsigned k_pi = 0x0c;
inline constexpr unsigned k_vs = 0x10;

inline constexpr uint32_t k_cap_sclo = 1U << 24;  // command list override
inline constexpr uint32_t k_cap_sam = 1U << 18;   // AHCI only
inline constexpr uint32_t k_cap_sncq = 1U << 30;
inline constexpr uint32_t k_cap_s64a = 1U << 31;
inline constexpr uint32_t k_cap_value = (k_port_count - 1) | (k_slot_count - 1) << 8 | k_cap_sam | 2U << 20 | k_cap_sclo |
                                        k_cap_sncq | k_cap_s64a;
inline constexpr uint32_t k_version = 0x0001'0301;
inline constexpr uint32_t k_ghc_hr = 1U << 0;
inline constexpr uint32_t k_ghc_ie = 1U << 1;
inline constexpr uint32_t k_ghc_ae = 1U << 31;

// 3.3 Port registers.
inline constexpr unsigned k_px_clb = 0x00;
inline constexpr unsigned k_px_clbu = 0x04;
inline constexpr unsigned k_px_fb = 0x08;
inline constexpr unsigned k_px_fbu = 0x0c;
inline constexpr unsigned k_px_is = 0x10;
inline constexpr unsigned k_px_ie = 0x14;
inline constexpr unsigned k_px_cmd = 0x18;
inline constexpr unsigned k_px_tfd = 0x20;
inline constexpr unsigned k_px_sig = 0x24;
inline constexpr unsigned k_px_ssts = 0x28;
inline constexpr unsigned k_px_sctl = 0x2c;
inline constexpr unsigned k_px_serr = 0x30;
inline constexpr unsigned k_px_sact = 0x34;
inline constexpr unsigned k_px_ci = 0x38;

inline constexpr uint32_t k_is_dhrs = 1U << 0;
inline constexpr uint32_t k_is_pss = 1U << 1;
inline constexpr uint32_t k_is_sdbs = 1U << 3;
inline constexpr uint32_t k_is_ifs = 1U << 27;
inline constexpr uint32_t k_is_hbfs = 1U << 29;
inline constexpr uint32_t k_is_tfes = 1U << 30;
inline constexpr uint32_t k_is_mask = 0xfdc0'00ff;

inline constexpr uint32_t k_cmd_st = 1U << 0;
inline constexpr uint32_t k_cmd_sud = 1U << 1;  // no staggered spin-up, no cold presence: both read as set
inline constexpr uint32_t k_cmd_pod = 1U << 2;
inline constexpr uint32_t k_cmd_clo = 1U << 3;
inline constexpr uint32_t k_cmd_fre = 1U << 4;
inline constexpr uint32_t k_cmd_ccs_shift = 8;
inline constexpr uint32_t k_cmd_fr = 1U << 14;
inline constexpr uint32_t k_cmd_cr = 1U << 15;
inline constexpr uint32_t k_cmd_atapi = 1U << 24;
inline constexpr uint32_t k_cmd_dlae = 1U << 25;
inline constexpr uint32_t k_cmd_writable = k_cmd_st | k_cmd_fre | k_cmd_atapi | k_cmd_dlae;

inline constexpr uint32_t k_ssts_active = 0x123;  // device present and communicating, generation 2, active
inline constexpr uint32_t k_sctl_det_mask = 0xf;
inline constexpr uint32_t k_sctl_writable = 0xfff;
inline constexpr uint32_t k_tfd_idle = 0x7f;
inline constexpr uint32_t k_sig_none = 0xffff'ffff;

// 4.2.1 Received FIS structure: offsets from PxFB.
inline constexpr unsigned k_rfis_pio_setup = 0x20;
inline constexpr unsigned k_rfis_register = 0x40;
inline constexpr unsigned k_rfis_set_device_bits = 0x58;

// 4.2.2 Command list: 32 bytes a slot. 4.2.3 Command table.
inline constexpr unsigned k_header_size = 32;
inline constexpr unsigned k_header_prdbc = 4;
inline constexpr unsigned k_table_packet = 0x40;
inline constexpr unsigned k_table_prdt = 0x80;
inline constexpr unsigned k_prd_size = 16;

// Serial ATA 3.0, 10.3: frame information structures.
inline constexpr uint8_t k_fis_register_to_device = 0x27;
inline constexpr uint8_t k_fis_register_to_host = 0x34;
inline constexpr uint8_t k_fis_pio_setup = 0x5f;
inline constexpr uint8_t k_fis_set_device_bits = 0xa1;
inline constexpr uint8_t k_fis_interrupt = 0x40;
inline constexpr uint8_t k_fis_to_host = 0x20;  // PIO setup: data from the device
inline constexpr uint8_t k_fis_command = 0x80;  // register FIS: a command, not a control update
inline constexpr uint8_t k_control_srst = 0x04;

}  // namespace skep::ahci
