// SPDX-License-Identifier: GPL-3.0-or-later
// Saving and restoring the vector state: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR, LDMXCSR, STMXCSR
// (Intel SDM 1, 10.5 and chapter 13; SDM 2).
#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

constexpr unsigned k_legacy_bytes = 512, k_header_bytes = 64, k_area_bytes = 832;
constexpr uint64_t k_x87 = 1, k_sse = 2, k_avx = 4, k_known = k_x87 | k_sse | k_avx;
constexpr uint64_t k_compacted = uint64_t{1} << 63;

using Area = std::array<std::byte, k_area_bytes>;

template <typename T>
T field(const Area& area, unsigned at) {
    T value;
    std::memcpy(&value, area.data() + at, sizeof value);
    return value;
}
template <typename T>
void set_field(Area& area, unsigned at, T value) {
    std::memcpy(area.data() + at, &value, sizeof value);
}

unsigned xmm_bytes(const Core& core) { return core.code64 ? 256 : 128; }

// The x87 part of an image: control words, pointers, ST0-7. With REX.W (extra = 1) the pointers are 64 bits wide,
// without it 32 bits, with selectors above them that modern processors leave zero.
void put_x87(const Core& core, const Op& op, Area& area) {
    std::memcpy(area.data(), core.xsave.data(), 24);
    std::memcpy(area.data() + k_st_at, core.xsave.data() + k_st_at, 128);
    set_field<uint8_t>(area, k_ftw_at + 1, 0);
    if (op.extra == 0) {
        set_field<uint32_t>(area, k_fip_at + 4, 0);
        set_field<uint32_t>(area, k_fdp_at + 4, 0);
    }
}
void put_mxcsr(const Core& core, Area& area) {
    set_field<uint32_t>(area, k_mxcsr_at, mxcsr(core));
    set_field<uint32_t>(area, k_mxcsr_mask_at, k_mxcsr_valid);
}
void put_xmm(const Core& core, Area& area) {
    std::memcpy(area.data() + k_xmm_at, core.xsave.data() + k_xmm_at, xmm_bytes(core));
}

void take_x87(Core& core, const Op& op, const Area& area) {
    std::memcpy(core.xsave.data(), area.data(), 24);
    std::memcpy(core.xsave.data() + k_st_at, area.data() + k_st_at, 128);
    for (unsigned i = 0; i < 8; ++i)
        std::memset(core.xsave.data() + k_st_at + 16 * i + 10, 0, 6);
    set_vector_field<uint8_t>(core, k_ftw_at + 1, 0);
    if (op.extra == 0) {
        set_vector_field<uint32_t>(core, k_fip_at + 4, 0);
        set_vector_field<uint32_t>(core, k_fdp_at + 4, 0);
    }
    const auto fcw = vector_field<uint16_t>(core, k_fcw_at);
    set_vector_field(core, k_fcw_at, static_cast<uint16_t>((fcw & k_fcw_valid) | 0x40));
    refresh_error_summary(core);
}
void take_xmm(Core& core, const Area& area) {
    std::memcpy(core.xsave.data() + k_xmm_at, area.data() + k_xmm_at, xmm_bytes(core));
}

// --- FXSAVE, FXRSTOR ---------------------------------------------------------------------------------------------

void run_fxsave(Core& core, const Op& op) {
    require_x87(core);
    const uint64_t linear = vector_operand(core, op, k_legacy_bytes, 16, Access::write);
    check_store_area(core, linear, k_legacy_bytes, op.segment);
    Area area{};
    put_x87(core, op, area);
    put_mxcsr(core, area);
    unsigned bytes = k_xmm_at;
    if ((core.cr4 & k_cr4_osfxsr) != 0) {
        put_xmm(core, area);
        bytes += xmm_bytes(core);
    }
    store_area(core, linear, area.data(), bytes, op.segment);
}

void run_fxrstor(Core& core, const Op& op) {
    require_x87(core);
    const uint64_t linear = vector_operand(core, op, k_legacy_bytes, 16, Access::read);
    Area area{};
    load_area(core, linear, area.data(), k_legacy_bytes, op.segment);
    const auto new_mxcsr = field<uint32_t>(area, k_mxcsr_at);
    const bool with_sse = (core.cr4 & k_cr4_osfxsr) != 0;
    if (with_sse && (new_mxcsr & ~k_mxcsr_valid) != 0)
        raise(k_gp, 0);
    take_x87(core, op, area);
    if (with_sse) {
        set_vector_field(core, k_mxcsr_at, new_mxcsr);
        take_xmm(core, area);
    }
}

// --- XSAVE and its variants --------------------------------------------------------------------------------------

void require_xsave(const Core& core) {
    if ((core.cr4 & k_cr4_osxsave) == 0)
        raise(k_ud);
    if ((core.cr0 & k_cr0_ts) != 0)
        raise(k_nm);
}

uint64_t requested_features(const Core& core) {
    const uint64_t mask = (core.gpr[k_rdx] << 32) | (core.gpr[k_rax] & 0xffff'ffff);
    return mask & core.xcr0 & k_known;
}

enum class SaveForm : uint8_t { standard, optimised, compacted };

// What one save writes, as stretches of its image. At most: x87 (two), MXCSR, XMM, header, AVX.
struct Stretch {
    unsigned at, bytes;
};

template <SaveForm form>
void run_xsave(Core& core, const Op& op) {
    require_xsave(core);
    const uint64_t linear = vector_operand(core, op, k_legacy_bytes + k_header_bytes, 64, Access::write);
    const uint64_t requested = requested_features(core), in_use = vector_state_in_use(core);
    const uint64_t written = form == SaveForm::standard ? requested : requested & in_use;
    Area area{};
    std::array<Stretch, 6> stretches{};
    unsigned count = 0;
    if ((written & k_x87) != 0) {
        put_x87(core, op, area);
        stretches[count++] = {0, 24};
        stretches[count++] = {k_st_at, 128};
    }
    const bool with_mxcsr = form == SaveForm::compacted ? (requested & k_sse) != 0 : (requested & (k_sse | k_avx)) != 0;
    if (with_mxcsr) {
        put_mxcsr(core, area);
        stretches[count++] = {k_mxcsr_at, 8};
    }
    if ((written & k_sse) != 0) {
        put_xmm(core, area);
        stretches[count++] = {k_xmm_at, xmm_bytes(core)};
    }
    if ((written & k_avx) != 0) {
        std::memcpy(area.data() + k_ymm_high_at, core.xsave.data() + k_ymm_high_at, xmm_bytes(core));
        stretches[count++] = {k_ymm_high_at, xmm_bytes(core)};
    }
    uint64_t present = requested & in_use;
    if constexpr (form != SaveForm::compacted)
        present |= load<uint64_t>(core, linear + k_xstate_bv_at, op.segment) & ~requested;
    set_field(area, k_xstate_bv_at, present);
    set_field(area, k_xcomp_bv_at, requested | k_compacted);
    stretches[count++] = {k_xstate_bv_at, form == SaveForm::compacted ? 16u : 8u};
    for (unsigned i = 0; i < count; ++i)
        check_store_area(core, linear + stretches[i].at, stretches[i].bytes, op.segment);
    for (unsigned i = 0; i < count; ++i)
        store_area(core, linear + stretches[i].at, area.data() + stretches[i].at, stretches[i].bytes, op.segment);
}

// Raises #GP(0) for headers that XRSTOR refuses (SDM 1, 13.8).
void check_header(const Core& core, const Area& area) {
    const auto present = field<uint64_t>(area, k_xstate_bv_at), layout = field<uint64_t>(area, k_xcomp_bv_at);
    const unsigned reserved_from = (layout & k_compacted) != 0 ? k_xcomp_bv_at + 8 : k_xcomp_bv_at;
    const unsigned reserved_to = (layout & k_compacted) != 0 ? k_xstate_bv_at + 64 : k_xstate_bv_at + 24;
    if (!std::all_of(area.begin() + reserved_from, area.begin() + reserved_to,
                     [](std::byte b) { return b == std::byte{0}; }))
        raise(k_gp, 0);
    const uint64_t allowed = (layout & k_compacted) != 0 ? layout & ~k_compacted : core.xcr0;
    if ((allowed & ~core.xcr0) != 0 || (present & ~allowed) != 0)
        raise(k_gp, 0);
}

void run_xrstor(Core& core, const Op& op) {
    require_xsave(core);
    const uint64_t linear = vector_operand(core, op, k_legacy_bytes + k_header_bytes, 64, Access::read);
    const uint64_t requested = requested_features(core);
    Area area{};
    load_area(core, linear, area.data(), k_legacy_bytes + k_header_bytes, op.segment);
    check_header(core, area);
    const bool compacted = (field<uint64_t>(area, k_xcomp_bv_at) & k_compacted) != 0;
    const uint64_t loaded = requested & field<uint64_t>(area, k_xstate_bv_at);
    if ((loaded & k_avx) != 0)
        load_area(core, linear + k_ymm_high_at, area.data() + k_ymm_high_at, xmm_bytes(core), op.segment);
    const bool with_mxcsr = compacted ? (loaded & k_sse) != 0 : (requested & (k_sse | k_avx)) != 0;
    const auto new_mxcsr = field<uint32_t>(area, k_mxcsr_at);
    if (with_mxcsr && (new_mxcsr & ~k_mxcsr_valid) != 0)
        raise(k_gp, 0);
    if (with_mxcsr)
        set_vector_field(core, k_mxcsr_at, new_mxcsr);
    else if (compacted && (requested & k_sse) != 0)
        set_vector_field(core, k_mxcsr_at, k_mxcsr_default);
    if ((loaded & k_x87) != 0)
        take_x87(core, op, area);
    else if ((requested & k_x87) != 0)
        init_x87_state(core);
    if ((loaded & k_sse) != 0)
        take_xmm(core, area);
    else if ((requested & k_sse) != 0)
        std::memset(core.xsave.data() + k_xmm_at, 0, xmm_bytes(core));
    if ((loaded & k_avx) != 0)
        std::memcpy(core.xsave.data() + k_ymm_high_at, area.data() + k_ymm_high_at, xmm_bytes(core));
    else if ((requested & k_avx) != 0)
        std::memset(core.xsave.data() + k_ymm_high_at, 0, xmm_bytes(core));
}

// --- MXCSR -------------------------------------------------------------------------------------------------------

template <bool vex>
void run_ldmxcsr(Core& core, const Op& op) {
    vex ? require_avx(core) : require_sse(core);
    const auto value = load<uint32_t>(core, operand_linear(core, op, 4, Access::read), op.segment);
    if ((value & ~k_mxcsr_valid) != 0)
        raise(k_gp, 0);
    set_vector_field(core, k_mxcsr_at, value);
}

template <bool vex>
void run_stmxcsr(Core& core, const Op& op) {
    vex ? require_avx(core) : require_sse(core);
    store<uint32_t>(core, operand_linear(core, op, 4, Access::write), mxcsr(core), op.segment);
}

}  // namespace

bool build_vector_state_op(const ZydisDecodedInstruction& instruction, Op& op, PlainHandler& handler) {
    op.extra = 0;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_FXSAVE64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_FXSAVE: handler = run_fxsave; return true;
        case ZYDIS_MNEMONIC_FXRSTOR64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_FXRSTOR: handler = run_fxrstor; return true;
        case ZYDIS_MNEMONIC_XSAVE64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_XSAVE: handler = run_xsave<SaveForm::standard>; return true;
        case ZYDIS_MNEMONIC_XSAVEOPT64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_XSAVEOPT: handler = run_xsave<SaveForm::optimised>; return true;
        case ZYDIS_MNEMONIC_XSAVEC64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_XSAVEC: handler = run_xsave<SaveForm::compacted>; return true;
        case ZYDIS_MNEMONIC_XRSTOR64: op.extra = 1; [[fallthrough]];
        case ZYDIS_MNEMONIC_XRSTOR: handler = run_xrstor; return true;
        case ZYDIS_MNEMONIC_LDMXCSR: handler = run_ldmxcsr<false>; return true;
        case ZYDIS_MNEMONIC_VLDMXCSR: handler = run_ldmxcsr<true>; return true;
        case ZYDIS_MNEMONIC_STMXCSR: handler = run_stmxcsr<false>; return true;
        case ZYDIS_MNEMONIC_VSTMXCSR: handler = run_stmxcsr<true>; return true;
        default: return false;
    }
}

}  // namespace skep::interp
