// SPDX-License-Identifier: GPL-3.0-or-later
// The live vector state: initial values, MMX aliasing, availability. See vector_state.hpp.
#include "vmm/interp/vector_state.hpp"

#include <algorithm>
#include <array>

namespace skep::interp {

namespace {

bool all_zero(const Core& core, unsigned at, unsigned bytes) {
    const auto* start = core.xsave.data() + at;
    return std::all_of(start, start + bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void init_x87_state(Core& core) {
    std::memset(core.xsave.data(), 0, 24);
    std::memset(core.xsave.data() + k_st_at, 0, 128);
    set_vector_field<uint16_t>(core, k_fcw_at, 0x37f);
}

void init_sse_registers(Core& core) { std::memset(core.xsave.data() + k_xmm_at, 0, 256); }

void init_avx_registers(Core& core) { std::memset(core.xsave.data() + k_ymm_high_at, 0, k_ymm_high_bytes); }

void complete_vector_state(Core& core) {
    // A state with an empty header comes from reset or from a plain FXSAVE image: its legacy region counts.
    const auto present = vector_field<uint64_t>(core, k_xstate_bv_at);
    if (present != 0) {
        if ((present & 1) == 0)
            init_x87_state(core);
        if ((present & 2) == 0)
            init_sse_registers(core);
        if ((present & 4) == 0)
            init_avx_registers(core);
    }
    // All of the header: the host's XRSTOR may read this image.
    std::memset(core.xsave.data() + k_xstate_bv_at, 0, k_ymm_high_at - k_xstate_bv_at);
    set_vector_field<uint32_t>(core, k_mxcsr_at, mxcsr(core) & k_mxcsr_valid);
    set_vector_field<uint32_t>(core, k_mxcsr_mask_at, k_mxcsr_valid);
    set_vector_field<uint16_t>(core, k_fcw_at,
                               static_cast<uint16_t>((vector_field<uint16_t>(core, k_fcw_at) & k_fcw_valid) | 0x40));
    refresh_error_summary(core);
}

std::array<std::byte, 1024> sealed_vector_state(const Core& core) {
    std::array<std::byte, 1024> image = core.xsave;
    const uint64_t present = (vector_state_in_use(core) & 4) | 3;
    std::memcpy(image.data() + k_xstate_bv_at, &present, sizeof present);
    return image;
}

uint64_t vector_state_in_use(const Core& core) {
    uint64_t used = 0;
    const bool x87_initial = vector_field<uint16_t>(core, k_fcw_at) == 0x37f &&
                             vector_field<uint16_t>(core, k_fsw_at) == 0 &&
                             vector_field<uint8_t>(core, k_ftw_at) == 0 && all_zero(core, k_fop_at, 18) &&
                             all_zero(core, k_st_at, 128);
    if (!x87_initial)
        used |= 1;
    if (!all_zero(core, k_xmm_at, 256))
        used |= 2;
    if (!all_zero(core, k_ymm_high_at, k_ymm_high_bytes))
        used |= 4;
    return used;
}

X87Registers physical_registers(const Core& core) {
    X87Registers registers;
    const unsigned top = (vector_field<uint16_t>(core, k_fsw_at) & k_fsw_top) >> 11;
    for (unsigned i = 0; i < 8; ++i)
        std::memcpy(registers.bytes.data() + 16 * ((i + top) & 7), core.xsave.data() + k_st_at + 16 * i, 16);
    return registers;
}

void set_physical_registers(Core& core, const X87Registers& registers) {
    const unsigned top = (vector_field<uint16_t>(core, k_fsw_at) & k_fsw_top) >> 11;
    for (unsigned i = 0; i < 8; ++i)
        std::memcpy(core.xsave.data() + k_st_at + 16 * i, registers.bytes.data() + 16 * ((i + top) & 7), 16);
}

void enter_mmx(Core& core) {
    const auto fsw = vector_field<uint16_t>(core, k_fsw_at);
    if ((fsw & k_fsw_top) != 0) {
        const X87Registers registers = physical_registers(core);
        set_vector_field<uint16_t>(core, k_fsw_at, static_cast<uint16_t>(fsw & ~k_fsw_top));
        set_physical_registers(core, registers);
    }
    set_vector_field<uint8_t>(core, k_ftw_at, 0xff);
}

void raise_sse_unavailable(const Core& core) {
    raise((core.cr0 & k_cr0_em) != 0 || (core.cr4 & k_cr4_osfxsr) == 0 ? k_ud : k_nm);
}

void raise_avx_unavailable(const Core& core) {
    raise((core.cr4 & k_cr4_osxsave) == 0 || (core.xcr0 & 6) != 6 ? k_ud : k_nm);
}

}  // namespace skep::interp
