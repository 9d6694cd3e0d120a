// SPDX-License-Identifier: GPL-3.0-or-later
// FNSTENV, FLDENV, FNSAVE, FRSTOR: the old memory images of the x87 unit (Intel SDM 1, 8.1.10, figures 8-9 to 8-12).
#include <array>
#include <cstring>

#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

constexpr unsigned k_largest_image = 28 + 80;
using Image = std::array<std::byte, k_largest_image>;

// op.extra: bytes of one field of the environment, 2 or 4.
unsigned environment_bytes(const Op& op) { return 7u * op.extra; }

void put(Image& image, const Op& op, unsigned index, uint32_t value) {
    std::memcpy(image.data() + index * op.extra, &value, op.extra);
}
uint32_t get(const Image& image, const Op& op, unsigned index) {
    uint32_t value = 0;
    std::memcpy(&value, image.data() + index * op.extra, op.extra);
    return value;
}

bool real_format(const Core& core) { return !core.protected_mode || core.v86; }

enum Tag : unsigned { k_valid, k_zero, k_special, k_empty };

Tag tag_of(const std::byte* st) {
    uint64_t significand;
    uint16_t exponent;
    std::memcpy(&significand, st, 8);
    std::memcpy(&exponent, st + 8, 2);
    exponent &= 0x7fff;
    if (exponent == 0)
        return significand == 0 ? k_zero : k_special;
    return exponent == 0x7fff || (significand >> 63) == 0 ? k_special : k_valid;
}

// The two-bit tags of the physical registers from the image's one bit each.
uint16_t full_tag_word(const Core& core) {
    const unsigned used = vector_field<uint8_t>(core, k_ftw_at);
    const unsigned top = (vector_field<uint16_t>(core, k_fsw_at) & k_fsw_top) >> 11;
    unsigned word = 0;
    for (unsigned reg = 0; reg < 8; ++reg) {
        const unsigned slot = (reg - top) & 7;
        const unsigned tag = (used >> reg & 1) != 0 ? tag_of(core.xsave.data() + k_st_at + 16 * slot) : k_empty;
        word |= tag << (2 * reg);
    }
    return static_cast<uint16_t>(word);
}

void set_tags(Core& core, uint32_t word) {
    unsigned used = 0;
    for (unsigned reg = 0; reg < 8; ++reg)
        used |= ((word >> (2 * reg) & 3) != k_empty ? 1u : 0u) << reg;
    set_vector_field(core, k_ftw_at, static_cast<uint16_t>(used));
}

Image make_environment(const Core& core, const Op& op) {
    Image image{};
    const uint32_t high = op.extra == 4 ? 0xffff'0000 : 0;
    const auto fip = vector_field<uint32_t>(core, k_fip_at), fdp = vector_field<uint32_t>(core, k_fdp_at);
    const uint32_t fop = vector_field<uint16_t>(core, k_fop_at) & 0x7ff;
    put(image, op, 0, vector_field<uint16_t>(core, k_fcw_at) | high);
    put(image, op, 1, vector_field<uint16_t>(core, k_fsw_at) | high);
    put(image, op, 2, full_tag_word(core) | high);
    if (real_format(core)) {
        const uint32_t pointer_high = op.extra == 4 ? 0x0fff'f000 : 0xf000;
        put(image, op, 3, (fip & 0xffff) | high);
        put(image, op, 4, ((fip >> 4) & pointer_high) | fop);
        put(image, op, 5, (fdp & 0xffff) | high);
        put(image, op, 6, (fdp >> 4) & pointer_high);
        return image;
    }
    put(image, op, 3, fip);
    put(image, op, 4, op.extra == 4 ? fop << 16 : 0);  // CS selector: 0, as processors that deprecate it
    put(image, op, 5, fdp);
    put(image, op, 6, high);
    return image;
}

void take_environment(Core& core, const Op& op, const Image& image) {
    set_vector_field(core, k_fcw_at, static_cast<uint16_t>((get(image, op, 0) & k_fcw_valid) | 0x40));
    set_vector_field(core, k_fsw_at, static_cast<uint16_t>(get(image, op, 1)));
    set_tags(core, get(image, op, 2));
    uint32_t fip = get(image, op, 3), fdp = get(image, op, 5), fop = 0;
    if (real_format(core)) {
        const uint32_t pointer_high = op.extra == 4 ? 0x0fff'f000 : 0xf000;
        fop = get(image, op, 4) & 0x7ff;
        fip = (fip & 0xffff) | (get(image, op, 4) & pointer_high) << 4;
        fdp = (fdp & 0xffff) | (get(image, op, 6) & pointer_high) << 4;
    } else if (op.extra == 4) {
        fop = get(image, op, 4) >> 16 & 0x7ff;
    }
    set_vector_field<uint64_t>(core, k_fip_at, fip);
    set_vector_field<uint64_t>(core, k_fdp_at, fdp);
    set_vector_field(core, k_fop_at, static_cast<uint16_t>(fop));
}

void run_fnstenv(Core& core, const Op& op) {
    require_x87(core);
    const Image image = make_environment(core, op);
    const unsigned bytes = environment_bytes(op);
    store_area(core, operand_linear(core, op, bytes, Access::write), image.data(), bytes, op.segment);
    set_vector_field(core, k_fcw_at, static_cast<uint16_t>(vector_field<uint16_t>(core, k_fcw_at) | 0x3f));
    refresh_error_summary(core);
}

void run_fldenv(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    Image image{};
    const unsigned bytes = environment_bytes(op);
    load_area(core, operand_linear(core, op, bytes, Access::read), image.data(), bytes, op.segment);
    // The image keeps ST registers relative to TOP: a new TOP turns them.
    X87Registers registers = physical_registers(core);
    take_environment(core, op, image);
    set_physical_registers(core, registers);
    refresh_error_summary(core);
}

void run_fnsave(Core& core, const Op& op) {
    require_x87(core);
    Image image = make_environment(core, op);
    const unsigned environment = environment_bytes(op), bytes = environment + 80;
    for (unsigned i = 0; i < 8; ++i)
        std::memcpy(image.data() + environment + 10 * i, core.xsave.data() + k_st_at + 16 * i, 10);
    store_area(core, operand_linear(core, op, bytes, Access::write), image.data(), bytes, op.segment);
    // As FNINIT: the registers keep their contents, and their places, which TOP = 0 now names anew.
    const X87Registers registers = physical_registers(core);
    set_vector_field<uint16_t>(core, k_fcw_at, 0x37f);
    set_vector_field<uint16_t>(core, k_fsw_at, 0);
    set_vector_field<uint16_t>(core, k_ftw_at, 0);
    set_vector_field<uint16_t>(core, k_fop_at, 0);
    set_vector_field<uint64_t>(core, k_fip_at, 0);
    set_vector_field<uint64_t>(core, k_fdp_at, 0);
    set_physical_registers(core, registers);
}

void run_frstor(Core& core, const Op& op) {
    require_x87(core);
    check_pending_x87(core);
    Image image{};
    const unsigned environment = environment_bytes(op), bytes = environment + 80;
    load_area(core, operand_linear(core, op, bytes, Access::read), image.data(), bytes, op.segment);
    take_environment(core, op, image);
    for (unsigned i = 0; i < 8; ++i)
        std::memcpy(core.xsave.data() + k_st_at + 16 * i, image.data() + environment + 10 * i, 10);
    refresh_error_summary(core);
}

}  // namespace

bool build_fpu_environment_op(const ZydisDecodedInstruction& instruction, Op& op, PlainHandler& handler) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_FNSTENV: handler = run_fnstenv; break;
        case ZYDIS_MNEMONIC_FLDENV: handler = run_fldenv; break;
        case ZYDIS_MNEMONIC_FNSAVE: handler = run_fnsave; break;
        case ZYDIS_MNEMONIC_FRSTOR: handler = run_frstor; break;
        default: return false;
    }
    op.extra = instruction.operand_width == 16 ? 2 : 4;
    return true;
}

}  // namespace skep::interp
