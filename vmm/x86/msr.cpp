// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/x86/msr.hpp"

#include "vmm/base/bits.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/paging.hpp"

namespace skep::x86 {
namespace {

// IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
// FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
//
// Why a software CPU may say so. The guest's processor is a program: no permission is checked by hardware that could be
// outrun, as every access is checked in code against a TLB that user mode and supervisor have each for themselves, so a
// mispredicted check still reads only what its own privilege may read (RDCL, GDS: an access without permission has no
// translation). The buffers that MDS, TAA, MMIO and RFDS leak from hold the data of one host process, which is the guest's
// own memory; what another host process does is kept apart by the host's kernel, whose mitigations hold for this process
// as for any. Within one guest such a leak stays possible on an affected host; but what would the guest do about it? Separate page tables, VERW, retpolines, IBPB and thunks act on the
// processor they run on. Here they would be emulated: full price, and no effect on the host's predictors and buffers.
constexpr uint64_t k_arch_capabilities = bit(0) | bit(1) | bit(3) | bit(4) | bit(5) | bit(6) | bit(8) | bit(13) | bit(14) |
                                         bit(15) | bit(20) | bit(24) | bit(26) | bit(27) | bit(62);
constexpr uint64_t k_microcode_revision = uint64_t{0x0d00'0390} << 32;
constexpr uint64_t k_feature_control_locked = 1;
constexpr uint64_t k_bus_hz = 100'000'000;

constexpr bool is_memory_type(uint64_t type) { return type <= 1 || (type >= 4 && type <= 6); }

// Eight types, one a byte. PAT also has UC- (7); MTRRs do not.
constexpr bool are_memory_types(uint64_t value, bool uncached_minus) {
    for (unsigned i = 0; i < 8; ++i) {
        const uint64_t type = bits(value, i * 8, 8);
        if (!is_memory_type(type) && !(uncached_minus && type == 7)) {
            return false;
        }
    }
    return true;
}

// Index into MsrState::mtrr_fixed.
std::optional<unsigned> fixed_mtrr(uint32_t index) {
    if (index == k_msr_mtrr_fix64k) {
        return 0;
    }
    if (index == k_msr_mtrr_fix16k_80000 || index == k_msr_mtrr_fix16k_a0000) {
        return 1 + index - k_msr_mtrr_fix16k_80000;
    }
    if (index >= k_msr_mtrr_fix4k_c0000 && index < k_msr_mtrr_fix4k_c0000 + 8) {
        return 3 + index - k_msr_mtrr_fix4k_c0000;
    }
    return std::nullopt;
}

bool is_variable_mtrr(uint32_t index) { return index >= k_msr_mtrr_physbase0 && index < k_msr_mtrr_physbase0 + 16; }

bool write_mtrr(MsrState& state, uint32_t index, uint64_t value) {
    if (const std::optional<unsigned> fixed = fixed_mtrr(index)) {
        if (!are_memory_types(value, false)) {
            return false;
        }
        state.mtrr_fixed[*fixed] = value;
        return true;
    }
    constexpr uint64_t k_address = paging::k_address_mask;
    const bool is_mask = (index & 1) != 0;
    const uint64_t allowed = k_address | (is_mask ? uint64_t{0x800} : uint64_t{0xff});
    if ((value & ~allowed) != 0 || (!is_mask && !is_memory_type(value & 0xff))) {
        return false;
    }
    state.mtrr_variable[index - k_msr_mtrr_physbase0] = value;
    return true;
}

// A plain 64-bit register of MsrState, or null.
template <typename State>
auto plain_register(State& state, uint32_t index) -> decltype(&state.star) {
    switch (index) {
        case k_msr_spec_ctrl: return &state.spec_ctrl;
        case k_msr_debugctl: return &state.debugctl;
        case k_msr_sysenter_cs: return &state.sysenter_cs;
        case k_msr_sysenter_esp: return &state.sysenter_esp;
        case k_msr_sysenter_eip: return &state.sysenter_eip;
        case k_msr_misc_enable: return &state.misc_enable;
        case k_msr_pat: return &state.pat;
        case k_msr_mtrr_def_type: return &state.mtrr_def_type;
        case k_msr_star: return &state.star;
        case k_msr_lstar: return &state.lstar;
        case k_msr_cstar: return &state.cstar;
        case k_msr_fmask: return &state.sfmask;
        case k_msr_kernel_gs_base: return &state.kernel_gs_base;
        case k_msr_tsc_aux: return &state.tsc_aux;
        default: return nullptr;
    }
}

// Would the processor take this value?
bool accepts(uint32_t index, uint64_t value) {
    constexpr uint64_t k_spec_ctrl_bits = 7 | bit(10);  // IBRS, STIBP, SSBD, BHI_DIS_S: kept, without effect
    constexpr uint64_t k_def_type_bits = 0xcff;
    constexpr uint64_t k_debugctl_bits = 3;  // LBR, without records, and BTF; CPUID offers nothing that has others
    switch (index) {
        case k_msr_spec_ctrl: return (value & ~k_spec_ctrl_bits) == 0;
        case k_msr_debugctl: return (value & ~k_debugctl_bits) == 0;
        case k_msr_pat: return are_memory_types(value, true);
        case k_msr_mtrr_def_type: return (value & ~k_def_type_bits) == 0 && is_memory_type(value & 0xff);
        case k_msr_sysenter_esp:
        case k_msr_sysenter_eip:
        case k_msr_lstar:
        case k_msr_cstar:
        case k_msr_kernel_gs_base: return is_canonical(value);
        case k_msr_tsc_aux: return (value >> 32) == 0;
        default: return true;
    }
}

}  // namespace

std::optional<uint64_t> read_msr(const MsrState& state, uint32_t index, uint64_t tsc_hz) {
    if (const uint64_t* plain = plain_register(state, index)) {
        return *plain;
    }
    if (const std::optional<unsigned> fixed = fixed_mtrr(index)) {
        return state.mtrr_fixed[*fixed];
    }
    if (is_variable_mtrr(index)) {
        return state.mtrr_variable[index - k_msr_mtrr_physbase0];
    }
    const uint64_t ratio = tsc_hz / k_bus_hz;
    switch (index) {
        case k_msr_platform_id:
        case k_msr_smi_count:
        case k_msr_mcg_cap:
        case k_msr_mcg_status:
        case k_msr_bios_updt_trig: return 0;
        case k_msr_feature_control: return k_feature_control_locked;
        case k_msr_tsc_adjust: return state.tsc_adjust;
        case k_msr_bios_sign_id: return k_microcode_revision;
        case k_msr_platform_info:
        case k_msr_perf_status:
        case k_msr_perf_ctl: return ratio << 8;
        case k_msr_mtrrcap: return k_mtrrcap;
        case k_msr_arch_capabilities: return k_arch_capabilities;
        default: return std::nullopt;
    }
}

bool write_msr(MsrState& state, uint32_t index, uint64_t value) {
    if (uint64_t* plain = plain_register(state, index)) {
        if (!accepts(index, value)) {
            return false;
        }
        *plain = value;
        return true;
    }
    if (fixed_mtrr(index) || is_variable_mtrr(index)) {
        return write_mtrr(state, index, value);
    }
    switch (index) {
        case k_msr_bios_updt_trig:
        case k_msr_bios_sign_id:
        case k_msr_perf_ctl: return true;
        case k_msr_pred_cmd: return (value & ~uint64_t{1}) == 0;
        case k_msr_mcg_status: return value == 0;
        default: return false;
    }
}

}  // namespace skep::x86
