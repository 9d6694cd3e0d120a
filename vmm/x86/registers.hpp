// SPDX-License-Identifier: GPL-3.0-or-later
// Bits of the control, debug, flags and feature registers, named as in Intel SDM 3A ch. 2 and 17.
#pragma once

#include <cstdint>

namespace skep::x86 {

inline constexpr uint64_t k_cr0_pe = 1, k_cr0_mp = 2, k_cr0_em = 4, k_cr0_ts = 8, k_cr0_et = 0x10, k_cr0_ne = 0x20,
                          k_cr0_wp = 0x1'0000, k_cr0_am = 0x4'0000, k_cr0_nw = 0x2000'0000, k_cr0_cd = 0x4000'0000,
                          k_cr0_pg = 0x8000'0000;

inline constexpr uint64_t k_cr3_no_flush = uint64_t{1} << 63;

inline constexpr uint64_t k_cr4_vme = 1, k_cr4_pvi = 2, k_cr4_tsd = 4, k_cr4_de = 8, k_cr4_pse = 0x10, k_cr4_pae = 0x20,
                          k_cr4_mce = 0x40, k_cr4_pge = 0x80, k_cr4_pce = 0x100, k_cr4_osfxsr = 0x200,
                          k_cr4_osxmmexcpt = 0x400, k_cr4_umip = 0x800, k_cr4_fsgsbase = 0x1'0000, k_cr4_pcide = 0x2'0000,
                          k_cr4_osxsave = 0x4'0000, k_cr4_smep = 0x10'0000, k_cr4_smap = 0x20'0000;

inline constexpr uint64_t k_efer_sce = 1, k_efer_lme = 0x100, k_efer_lma = 0x400, k_efer_nxe = 0x800;

inline constexpr uint64_t k_flag_cf = 1, k_flag_fixed = 2, k_flag_pf = 4, k_flag_af = 0x10, k_flag_zf = 0x40,
                          k_flag_sf = 0x80, k_flag_tf = 0x100, k_flag_if = 0x200, k_flag_df = 0x400, k_flag_of = 0x800,
                          k_flag_iopl = 0x3000, k_flag_nt = 0x4000, k_flag_rf = 0x1'0000, k_flag_vm = 0x2'0000,
                          k_flag_ac = 0x4'0000, k_flag_vif = 0x8'0000, k_flag_vip = 0x10'0000, k_flag_id = 0x20'0000;
// The six that arithmetic sets.
inline constexpr uint64_t k_flags_arithmetic = k_flag_cf | k_flag_pf | k_flag_af | k_flag_zf | k_flag_sf | k_flag_of;
// Every bit that exists.
inline constexpr uint64_t k_flags_all = 0x3f'7fd7;

inline constexpr uint64_t k_dr6_fixed = 0xffff'0ff0, k_dr6_bd = 0x2000, k_dr6_bs = 0x4000, k_dr6_bt = 0x8000;
inline constexpr uint64_t k_dr7_fixed = 0x400, k_dr7_gd = 0x2000;
inline constexpr uint64_t k_debugctl_lbr = 1, k_debugctl_btf = 2;

}  // namespace skep::x86
