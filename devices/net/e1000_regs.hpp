// SPDX-License-Identifier: GPL-3.0-or-later
// Registers, descriptors and PHY of the 82540EM: Intel, "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
// Developer's Manual" 317453 revision 4.0, chapters 3 (descriptors), 5 (EEPROM) and 13 (registers).
#pragma once

#include <cstdint>

namespace skep::e1000 {

// --- general (13.4) -----------------------------------------------------------------------------
inline constexpr uint32_t k_ctrl = 0x0000;
inline constexpr uint32_t k_ctrl_again = 0x0004;
inline constexpr uint32_t k_status = 0x0008;
inline constexpr uint32_t k_eecd = 0x0010;
inline constexpr uint32_t k_eerd = 0x0014;
inline constexpr uint32_t k_ctrl_ext = 0x0018;
inline constexpr uint32_t k_mdic = 0x0020;
inline constexpr uint32_t k_fcal = 0x0028;
inline constexpr uint32_t k_fcah = 0x002c;
inline constexpr uint32_t k_fct = 0x0030;
inline constexpr uint32_t k_vet = 0x0038;
inline constexpr uint32_t k_icr = 0x00c0;
inline constexpr uint32_t k_itr = 0x00c4;
inline constexpr uint32_t k_ics = 0x00c8;
inline constexpr uint32_t k_ims = 0x00d0;
inline constexpr uint32_t k_imc = 0x00d8;
inline constexpr uint32_t k_rctl = 0x0100;
inline constexpr uint32_t k_fcttv = 0x0170;
inline constexpr uint32_t k_txcw = 0x0178;
inline constexpr uint32_t k_tctl = 0x0400;
inline constexpr uint32_t k_tipg = 0x0410;
inline constexpr uint32_t k_ait = 0x0458;
inline constexpr uint32_t k_ledctl = 0x0e00;
inline constexpr uint32_t k_pba = 0x1000;
inline constexpr uint32_t k_fcrtl = 0x2160;
inline constexpr uint32_t k_fcrth = 0x2168;
// --- receive ----------------------------------------------------------------------------------
inline constexpr uint32_t k_rdbal = 0x2800;
inline constexpr uint32_t k_rdbah = 0x2804;
inline constexpr uint32_t k_rdlen = 0x2808;
inline constexpr uint32_t k_rdh = 0x2810;
inline constexpr uint32_t k_rdt = 0x2818;
inline constexpr uint32_t k_rdtr = 0x2820;
inline constexpr uint32_t k_rxdctl = 0x2828;
inline constexpr uint32_t k_radv = 0x282c;
inline constexpr uint32_t k_rsrpd = 0x2c00;
// --- transmit ---------------------------------------------------------------------------------
inline constexpr uint32_t k_txdmac = 0x3000;
inline constexpr uint32_t k_tdbal = 0x3800;
inline constexpr uint32_t k_tdbah = 0x3804;
inline constexpr uint32_t k_tdlen = 0x3808;
inline constexpr uint32_t k_tdh = 0x3810;
inline constexpr uint32_t k_tdt = 0x3818;
inline constexpr uint32_t k_tidv = 0x3820;
inline constexpr uint32_t k_txdctl = 0x3828;
inline constexpr uint32_t k_tadv = 0x382c;
inline constexpr uint32_t k_tspmt = 0x3830;
// --- statistics (13.7): cleared when read ----------------------------------------------------------
inline constexpr uint32_t k_statistics = 0x4000;
inline constexpr uint32_t k_statistics_end = 0x4100;
inline constexpr uint32_t k_mpc = 0x4010;    // missed for want of descriptors
inline constexpr uint32_t k_prc64 = 0x405c;  // received by size: six counters
inline constexpr uint32_t k_gprc = 0x4074;
inline constexpr uint32_t k_bprc = 0x4078;
inline constexpr uint32_t k_mprc = 0x407c;
inline constexpr uint32_t k_gptc = 0x4080;
inline constexpr uint32_t k_gorcl = 0x4088;
inline constexpr uint32_t k_gotcl = 0x4090;
inline constexpr uint32_t k_roc = 0x40ac;
inline constexpr uint32_t k_torl = 0x40c0;
inline constexpr uint32_t k_totl = 0x40c8;
inline constexpr uint32_t k_tpr = 0x40d0;
inline constexpr uint32_t k_tpt = 0x40d4;
inline constexpr uint32_t k_ptc64 = 0x40d8;  // sent by size: six counters
inline constexpr uint32_t k_mptc = 0x40f0;
inline constexpr uint32_t k_bptc = 0x40f4;
inline constexpr uint32_t k_tsctc = 0x40f8;
inline constexpr uint32_t k_tsctfc = 0x40fc;
// --- filters ------------------------------------------------------------------------------------
inline constexpr uint32_t k_rxcsum = 0x5000;
inline constexpr uint32_t k_mta = 0x5200;  // 128 words
inline constexpr uint32_t k_mta_end = 0x5400;
inline constexpr uint32_t k_ra = 0x5400;  // 16 pairs
inline constexpr uint32_t k_ra_end = 0x5480;
inline constexpr uint32_t k_vfta = 0x5600;  // 128 words
inline constexpr uint32_t k_vfta_end = 0x5800;
inline constexpr uint32_t k_wuc = 0x5800;
inline constexpr uint32_t k_wufc = 0x5808;
inline constexpr uint32_t k_wus = 0x5810;
inline constexpr uint32_t k_manc = 0x5820;
inline constexpr uint32_t k_ipav = 0x5838;
inline constexpr uint32_t k_ip4at = 0x5840;  // to the packets of wake-up
inline constexpr uint32_t k_wakeup_end = 0x5f28;
inline constexpr uint32_t k_file_bytes = 0x6000;  // everything here is below

// CTRL
inline constexpr uint32_t k_ctrl_fd = 1 << 0;
inline constexpr uint32_t k_ctrl_slu = 1 << 6;
inline constexpr uint32_t k_ctrl_rst = 1 << 26;
inline constexpr uint32_t k_ctrl_vme = 1 << 30;
inline constexpr uint32_t k_ctrl_phy_rst = 1U << 31;
// STATUS
inline constexpr uint32_t k_status_fd = 1 << 0;
inline constexpr uint32_t k_status_lu = 1 << 1;
inline constexpr uint32_t k_status_speed_1000 = 2 << 6;
inline constexpr uint32_t k_status_asdv_1000 = 2 << 8;
// ICR, ICS, IMS, IMC
inline constexpr uint32_t k_int_txdw = 1 << 0;
inline constexpr uint32_t k_int_txqe = 1 << 1;
inline constexpr uint32_t k_int_lsc = 1 << 2;
inline constexpr uint32_t k_int_rxdmt0 = 1 << 4;
inline constexpr uint32_t k_int_rxo = 1 << 6;
inline constexpr uint32_t k_int_rxt0 = 1 << 7;
inline constexpr uint32_t k_int_mdac = 1 << 9;
inline constexpr uint32_t k_int_srpd = 1 << 16;
inline constexpr uint32_t k_int_all = 0x1'ffff;
// RCTL
inline constexpr uint32_t k_rctl_en = 1 << 1;
inline constexpr uint32_t k_rctl_upe = 1 << 3;
inline constexpr uint32_t k_rctl_mpe = 1 << 4;
inline constexpr uint32_t k_rctl_lpe = 1 << 5;
inline constexpr unsigned k_rctl_rdmts_shift = 8;
inline constexpr unsigned k_rctl_mo_shift = 12;
inline constexpr uint32_t k_rctl_bam = 1 << 15;
inline constexpr unsigned k_rctl_bsize_shift = 16;
inline constexpr uint32_t k_rctl_vfe = 1 << 18;
inline constexpr uint32_t k_rctl_bsex = 1 << 25;
inline constexpr uint32_t k_rctl_secrc = 1 << 26;
// TCTL
inline constexpr uint32_t k_tctl_en = 1 << 1;
inline constexpr uint32_t k_tctl_psp = 1 << 3;
// RDTR
inline constexpr uint32_t k_rdtr_fpd = 1U << 31;
// RXCSUM
inline constexpr uint32_t k_rxcsum_pcss = 0xff;
inline constexpr uint32_t k_rxcsum_ipofld = 1 << 8;
inline constexpr uint32_t k_rxcsum_tuofld = 1 << 9;
// RAH
inline constexpr uint32_t k_rah_av = 1U << 31;
// MDIC
inline constexpr uint32_t k_mdic_write = 1 << 26;
inline constexpr uint32_t k_mdic_read = 2 << 26;
inline constexpr uint32_t k_mdic_op = 3 << 26;
inline constexpr uint32_t k_mdic_ready = 1 << 28;
inline constexpr uint32_t k_mdic_interrupt = 1 << 29;
inline constexpr uint32_t k_mdic_error = 1 << 30;
// EERD
inline constexpr uint32_t k_eerd_start = 1 << 0;
inline constexpr uint32_t k_eerd_done = 1 << 4;
// EECD
inline constexpr uint32_t k_eecd_sk = 1 << 0;
inline constexpr uint32_t k_eecd_cs = 1 << 1;
inline constexpr uint32_t k_eecd_di = 1 << 2;
inline constexpr uint32_t k_eecd_do = 1 << 3;
inline constexpr uint32_t k_eecd_fwe = 3 << 4;
inline constexpr uint32_t k_eecd_req = 1 << 6;
inline constexpr uint32_t k_eecd_gnt = 1 << 7;
inline constexpr uint32_t k_eecd_pres = 1 << 8;

// --- descriptors ----------------------------------------------------------------------------------
// 3.2.3: what the hardware puts behind the buffer's address.
struct RxDescriptor {
    uint64_t address;
    uint16_t length;
    uint16_t checksum;
    uint8_t status;
    uint8_t errors;
    uint16_t special;
};
static_assert(sizeof(RxDescriptor) == 16);
inline constexpr uint8_t k_rx_dd = 1 << 0;
inline constexpr uint8_t k_rx_eop = 1 << 1;
inline constexpr uint8_t k_rx_ixsm = 1 << 2;
inline constexpr uint8_t k_rx_vp = 1 << 3;
inline constexpr uint8_t k_rx_tcpcs = 1 << 5;
inline constexpr uint8_t k_rx_ipcs = 1 << 6;
inline constexpr uint8_t k_rx_pif = 1 << 7;
inline constexpr uint8_t k_rx_tcpe = 1 << 5;
inline constexpr uint8_t k_rx_ipe = 1 << 6;

// 3.3.3, 3.3.6, 3.3.7: the second half of a descriptor, bits 32 to 63 being `upper`.
struct TxDescriptor {
    uint64_t address;  // of a context descriptor: IPCSS, IPCSO, IPCSE, TUCSS, TUCSO, TUCSE
    uint32_t lower;
    uint32_t upper;
};
static_assert(sizeof(TxDescriptor) == 16);
inline constexpr uint32_t k_tx_eop = 1 << 24;
inline constexpr uint32_t k_tx_ic = 1 << 26;   // legacy: insert a checksum
inline constexpr uint32_t k_tx_tse = 1 << 26;  // extended: segmentation
inline constexpr uint32_t k_tx_rs = 1 << 27;
inline constexpr uint32_t k_tx_dext = 1 << 29;
inline constexpr uint32_t k_tx_vle = 1 << 30;
inline constexpr uint32_t k_tx_ide = 1U << 31;
inline constexpr uint32_t k_tx_data = 1 << 20;  // DTYP of an extended descriptor
inline constexpr uint32_t k_tx_dtyp = 0xf << 20;
inline constexpr uint32_t k_tx_context_tcp = 1 << 24;
inline constexpr uint32_t k_tx_context_ip4 = 1 << 25;
inline constexpr uint32_t k_tx_popts_ixsm = 1 << 8;  // of `upper`
inline constexpr uint32_t k_tx_popts_txsm = 1 << 9;
inline constexpr uint8_t k_tx_dd = 1 << 0;

}  // namespace skep::e1000
