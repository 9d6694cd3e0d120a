// SPDX-License-Identifier: GPL-3.0-or-later
// Controller registers and structures of the Intel High Definition Audio specification 1.0a, chapter 3.
#pragma once

#include <cstdint>

namespace skep::hda {

inline constexpr unsigned k_bar_size = 0x4000;
inline constexpr unsigned k_input_streams = 4;
inline constexpr unsigned k_output_streams = 4;
inline constexpr unsigned k_streams = k_input_streams + k_output_streams;

// 3.3 Global registers.
inline constexpr unsigned k_gcap = 0x00;
inline constexpr unsigned k_vmin = 0x02;
inline constexpr unsigned k_vmaj = 0x03;
inline constexpr unsigned k_outpay = 0x04;
inline constexpr unsigned k_inpay = 0x06;
inline constexpr unsigned k_gctl = 0x08;
inline constexpr unsigned k_wakeen = 0x0c;
inline constexpr unsigned k_statests = 0x0e;
inline constexpr unsigned k_gsts = 0x10;
inline constexpr unsigned k_outstrmpay = 0x18;
inline constexpr unsigned k_instrmpay = 0x1a;
inline constexpr unsigned k_intctl = 0x20;
inline constexpr unsigned k_intsts = 0x24;
inline constexpr unsigned k_walclk = 0x30;
inline constexpr unsigned k_ssync_ich = 0x34;  // where the ICH6 to ICH10 have it
inline constexpr unsigned k_ssync = 0x38;      // where the specification has it
inline constexpr unsigned k_corblbase = 0x40;
inline constexpr unsigned k_corbubase = 0x44;
inline constexpr unsigned k_corbwp = 0x48;
inline constexpr unsigned k_corbrp = 0x4a;
inline constexpr unsigned k_corbctl = 0x4c;
inline constexpr unsigned k_corbsts = 0x4d;
inline constexpr unsigned k_corbsize = 0x4e;
inline constexpr unsigned k_rirblbase = 0x50;
inline constexpr unsigned k_rirbubase = 0x54;
inline constexpr unsigned k_rirbwp = 0x58;
inline constexpr unsigned k_rintcnt = 0x5a;
inline constexpr unsigned k_rirbctl = 0x5c;
inline constexpr unsigned k_rirbsts = 0x5d;
inline constexpr unsigned k_rirbsize = 0x5e;
inline constexpr unsigned k_icoi = 0x60;
inline constexpr unsigned k_icii = 0x64;
inline constexpr unsigned k_icis = 0x68;
inline constexpr unsigned k_dplbase = 0x70;
inline constexpr unsigned k_dpubase = 0x74;

// 3.3.35 Stream descriptors: input streams first, then output streams.
inline constexpr unsigned k_streams_start = 0x80;
inline constexpr unsigned k_stream_size = 0x20;
inline constexpr unsigned k_sd_ctl = 0x00;  // three bytes, the status behind it
inline constexpr unsigned k_sd_sts = 0x03;
inline constexpr unsigned k_sd_lpib = 0x04;
inline constexpr unsigned k_sd_cbl = 0x08;
inline constexpr unsigned k_sd_lvi = 0x0c;
inline constexpr unsigned k_sd_fifos = 0x10;
inline constexpr unsigned k_sd_fmt = 0x12;
inline constexpr unsigned k_sd_bdpl = 0x18;
inline constexpr unsigned k_sd_bdpu = 0x1c;

// 3.3.45 and 3.3.46: the wall clock and the link positions once more, on pages that may be shown to programs.
inline constexpr unsigned k_alias_start = 0x2000;

inline constexpr uint32_t k_gcap_value = k_output_streams << 12 | k_input_streams << 8 | 1;  // 64OK
inline constexpr uint32_t k_outpay_value = 0x3c;
inline constexpr uint32_t k_inpay_value = 0x1d;
inline constexpr uint32_t k_gctl_crst = 1U << 0;
inline constexpr uint32_t k_gctl_fcntrl = 1U << 1;
inline constexpr uint32_t k_gctl_unsol = 1U << 8;
inline constexpr uint32_t k_gsts_fsts = 1U << 1;
inline constexpr uint32_t k_int_gie = 1U << 31;  // INTCTL; INTSTS has GIS there
inline constexpr uint32_t k_int_cie = 1U << 30;  // INTCTL; INTSTS has CIS there
inline constexpr uint32_t k_int_streams = (1U << k_streams) - 1;

inline constexpr unsigned k_ring_entries = 256;  // of CORB and RIRB, the only size on offer
inline constexpr uint32_t k_ring_size_value = 0x42;
inline constexpr uint32_t k_ring_base_mask = ~0x7fU;
inline constexpr uint32_t k_pointer_mask = k_ring_entries - 1;
inline constexpr uint32_t k_pointer_rst = 1U << 15;
inline constexpr uint32_t k_corbctl_cmeie = 1U << 0;
inline constexpr uint32_t k_corbctl_run = 1U << 1;
inline constexpr uint32_t k_corbsts_cmei = 1U << 0;
inline constexpr uint32_t k_rirbctl_rintctl = 1U << 0;
inline constexpr uint32_t k_rirbctl_dmaen = 1U << 1;
inline constexpr uint32_t k_rirbctl_rirboic = 1U << 2;
inline constexpr uint32_t k_rirbsts_rintfl = 1U << 0;
inline constexpr uint32_t k_rirbsts_rirbois = 1U << 2;
inline constexpr uint32_t k_icis_icb = 1U << 0;
inline constexpr uint32_t k_icis_irv = 1U << 1;
inline constexpr uint32_t k_dplbase_enable = 1U << 0;

// SDnCTL and, a byte of its own, SDnSTS. The three interrupt enables lie where their status bits lie.
inline constexpr uint32_t k_sd_ctl_srst = 1U << 0;
inline constexpr uint32_t k_sd_ctl_run = 1U << 1;
inline constexpr uint32_t k_sd_ctl_ioce = 1U << 2;
inline constexpr unsigned k_sd_ctl_strm_shift = 20;
inline constexpr uint32_t k_sd_ctl_writable = 0xf7'001e;  // TP included: priority means nothing here, but is kept
inline constexpr uint32_t k_sd_sts_bcis = 1U << 2;
inline constexpr uint32_t k_sd_sts_dese = 1U << 4;
inline constexpr uint32_t k_sd_sts_fifordy = 1U << 5;
inline constexpr uint32_t k_sd_sts_interrupts = 0x1c;
inline constexpr uint32_t k_sd_fmt_writable = 0x7f7f;
inline constexpr uint32_t k_fifos_output = 0xbf;  // bytes less one, as the ICH9's
inline constexpr uint32_t k_fifos_input = 0x77;

// 3.6.3 Buffer descriptor list entry.
inline constexpr unsigned k_bdl_entry_size = 16;
inline constexpr uint32_t k_bdl_ioc = 1U << 0;

// 3.6.1: the DMA position buffer has eight bytes for each stream.
inline constexpr unsigned k_position_size = 8;

inline constexpr uint32_t k_wall_clock_hz = 24'000'000;

}  // namespace skep::hda
