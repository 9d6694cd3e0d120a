// SPDX-License-Identifier: GPL-3.0-or-later
// Model-specific registers that are storage, constants or checks only (SDM 4). Those with effects beyond MsrState (TSC,
// IA32_EFER, segment bases, the local APIC's) are the processor's own business.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/cpu/cpu_state.hpp"

namespace skep::x86 {

enum Msr : uint32_t {
    k_msr_tsc = 0x10, k_msr_platform_id = 0x17, k_msr_apic_base = 0x1b, k_msr_smi_count = 0x34,
    k_msr_feature_control = 0x3a, k_msr_tsc_adjust = 0x3b, k_msr_spec_ctrl = 0x48, k_msr_pred_cmd = 0x49,
    k_msr_bios_updt_trig = 0x79, k_msr_bios_sign_id = 0x8b, k_msr_platform_info = 0xce, k_msr_mtrrcap = 0xfe,
    k_msr_arch_capabilities = 0x10a, k_msr_sysenter_cs = 0x174, k_msr_sysenter_esp = 0x175, k_msr_sysenter_eip = 0x176,
    k_msr_mcg_cap = 0x179, k_msr_mcg_status = 0x17a, k_msr_perf_status = 0x198, k_msr_perf_ctl = 0x199,
    k_msr_misc_enable = 0x1a0, k_msr_debugctl = 0x1d9, k_msr_mtrr_physbase0 = 0x200, k_msr_mtrr_fix64k = 0x250,
    k_msr_mtrr_fix16k_80000 = 0x258, k_msr_mtrr_fix16k_a0000 = 0x259, k_msr_mtrr_fix4k_c0000 = 0x268, k_msr_pat = 0x277,
    k_msr_mtrr_def_type = 0x2ff, k_msr_tsc_deadline = 0x6e0, k_msr_x2apic_first = 0x800, k_msr_x2apic_last = 0x8ff,
    k_msr_efer = 0xc000'0080, k_msr_star = 0xc000'0081, k_msr_lstar = 0xc000'0082, k_msr_cstar = 0xc000'0083,
    k_msr_fmask = 0xc000'0084, k_msr_fs_base = 0xc000'0100, k_msr_gs_base = 0xc000'0101,
    k_msr_kernel_gs_base = 0xc000'0102, k_msr_tsc_aux = 0xc000'0103
};

// IA32_MTRRCAP: 8 variable ranges, fixed ranges, write-combining.
inline constexpr uint64_t k_mtrrcap = 0x508;

// Nothing / false: #GP(0). tsc_hz: for IA32_PLATFORM_INFO's ratio.
[[nodiscard]] std::optional<uint64_t> read_msr(const MsrState& state, uint32_t index, uint64_t tsc_hz);
[[nodiscard]] bool write_msr(MsrState& state, uint32_t index, uint64_t value);

}  // namespace skep::x86
