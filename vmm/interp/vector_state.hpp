// SPDX-License-Identifier: GPL-3.0-or-later
// Access to the live x87/MMX/SSE/AVX state in Core::xsave (SDM 1, 10.5.1 and 13.4). While a processor runs, every
// component is there in full: XSTATE_BV of its header means nothing and MXCSR is always valid.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>

#include "vmm/interp/core.hpp"

namespace skep::interp {

inline constexpr unsigned k_fcw_at = 0, k_fsw_at = 2, k_ftw_at = 4, k_fop_at = 6, k_fip_at = 8, k_fdp_at = 16,
                          k_mxcsr_at = 24, k_mxcsr_mask_at = 28, k_st_at = 32, k_xmm_at = 160, k_xstate_bv_at = 512,
                          k_xcomp_bv_at = 520, k_ymm_high_at = 576, k_ymm_high_bytes = 256;
inline constexpr uint32_t k_mxcsr_valid = 0xffff, k_mxcsr_masks = 0x1f80, k_mxcsr_flags = 0x3f, k_mxcsr_default = 0x1f80,
                          k_mxcsr_um = 0x800, k_mxcsr_ue = 0x10, k_mxcsr_ftz = 0x8000;
inline constexpr uint16_t k_fsw_es = 0x80, k_fsw_busy = 0x8000, k_fsw_top = 0x3800, k_fcw_valid = 0x1f3f;

template <typename T>
inline T vector_field(const Core& core, unsigned at) {
    T value;
    std::memcpy(&value, core.xsave.data() + at, sizeof value);
    return value;
}
template <typename T>
inline void set_vector_field(Core& core, unsigned at, T value) {
    std::memcpy(core.xsave.data() + at, &value, sizeof value);
}

inline uint32_t mxcsr(const Core& core) { return vector_field<uint32_t>(core, k_mxcsr_at); }

// FSW.ES and B follow from the flags and their masks.
inline void refresh_error_summary(Core& core) {
    const auto fcw = vector_field<uint16_t>(core, k_fcw_at);
    auto fsw = static_cast<uint16_t>(vector_field<uint16_t>(core, k_fsw_at) & ~(k_fsw_es | k_fsw_busy));
    if ((fsw & ~fcw & 0x3f) != 0)
        fsw |= k_fsw_es | k_fsw_busy;
    set_vector_field(core, k_fsw_at, fsw);
}

// What every load of the state from outside (CpuState, FXRSTOR, XRSTOR) must end with: components absent from
// XSTATE_BV get their initial values, MXCSR loses reserved bits, ES is made consistent.
void complete_vector_state(Core& core);
// The image for CpuState: XSTATE_BV says which components are there.
[[nodiscard]] std::array<std::byte, 1024> sealed_vector_state(const Core& core);

// Initial configuration of one component (SDM 1, 13.6).
void init_x87_state(Core& core);
void init_sse_registers(Core& core);
void init_avx_registers(Core& core);

// Which of x87, SSE, AVX (bits 0, 1, 2) differ from their initial configuration.
[[nodiscard]] uint64_t vector_state_in_use(const Core& core);

// ST registers in physical order R0-R7; the image itself is in stack order, so whatever changes TOP must turn it.
struct X87Registers {
    std::array<std::byte, 128> bytes{};
};
[[nodiscard]] X87Registers physical_registers(const Core& core);
void set_physical_registers(Core& core, const X87Registers& registers);

// An MMX instruction is about to run: the register stack is turned to TOP = 0 and every tag becomes valid (SDM 1, 9.5).
void enter_mmx(Core& core);

// --- availability: raises #UD, #NM or #MF as the unit's instructions do before anything else ---------------------
inline constexpr uint64_t k_cr0_mp = 2, k_cr0_em = 4, k_cr0_ts = 8, k_cr0_ne = 0x20;
inline constexpr uint64_t k_cr4_osfxsr = 0x200, k_cr4_osxmmexcpt = 0x400, k_cr4_osxsave = 0x4'0000;

[[noreturn]] void raise_sse_unavailable(const Core& core);
[[noreturn]] void raise_avx_unavailable(const Core& core);

inline void require_sse(const Core& core) {
    if ((core.cr0 & (k_cr0_em | k_cr0_ts)) != 0 || (core.cr4 & k_cr4_osfxsr) == 0) [[unlikely]]
        raise_sse_unavailable(core);
}
inline void require_avx(const Core& core) {
    if ((core.cr0 & k_cr0_ts) != 0 || (core.cr4 & k_cr4_osxsave) == 0 || (core.xcr0 & 6) != 6) [[unlikely]]
        raise_avx_unavailable(core);
}
inline void require_x87(const Core& core) {
    if ((core.cr0 & (k_cr0_em | k_cr0_ts)) != 0) [[unlikely]]
        raise(k_nm);
}
// A waiting instruction meets a pending unmasked exception. With CR0.NE clear the PC's way would be FERR# and IRQ 13;
// IGNNE# is held active here, as no system that runs on 64-bit processors relies on it: the exception stays pending.
inline void check_pending_x87(const Core& core) {
    if ((vector_field<uint16_t>(core, k_fsw_at) & k_fsw_es) != 0 && (core.cr0 & k_cr0_ne) != 0) [[unlikely]]
        raise(k_mf);
}
inline void require_mmx(const Core& core) {
    if ((core.cr0 & k_cr0_em) != 0)
        raise(k_ud);
    if ((core.cr0 & k_cr0_ts) != 0)
        raise(k_nm);
    check_pending_x87(core);
}

}  // namespace skep::interp
