// SPDX-License-Identifier: GPL-3.0-or-later
// Moves whose elements are chosen by a mask: what is masked out is not accessed and cannot fault (SDM 2: MASKMOVDQU,
// VMASKMOV, VPMASKMOV, VPGATHERDD and its relatives).
#include <array>
#include <cstring>

#include "vmm/interp/native_thunk.hpp"
#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

struct Wide {
    alignas(32) std::array<std::byte, 32> bytes{};

    [[nodiscard]] bool selects(unsigned at, unsigned element) const {
        return (std::to_integer<unsigned>(bytes[at + element - 1]) & 0x80) != 0;
    }
};

Wide read_vector(const Core& core, unsigned place) {
    Wide value;
    std::memcpy(value.bytes.data(), core.xsave.data() + k_xmm_at + place, 16);
    std::memcpy(value.bytes.data() + 16, core.xsave.data() + k_ymm_high_at + place, 16);
    return value;
}
void write_vector(Core& core, unsigned place, const Wide& value) {
    std::memcpy(core.xsave.data() + k_xmm_at + place, value.bytes.data(), 16);
    std::memcpy(core.xsave.data() + k_ymm_high_at + place, value.bytes.data() + 16, 16);
}

// --- VMASKMOVPS/PD, VPMASKMOVD/Q: reg = ModRM.reg, vvvv = mask ---------------------------------------------------

template <unsigned bytes, unsigned element>
void run_masked_load(Core& core, const Op& op) {
    require_avx(core);
    const Wide mask = read_vector(core, vector_place(op, k_slot_vvvv));
    const uint64_t base = effective_address(core, op);
    Wide result;
    for (unsigned at = 0; at < bytes; at += element) {
        if (!mask.selects(at, element))
            continue;
        const uint64_t offset = (base + at) & address_mask(op.address_size);
        const uint64_t linear = segment_linear(core, op.segment, offset, element, Access::read);
        load_bytes(core, linear, result.bytes.data() + at, element, op.segment);
    }
    write_vector(core, vector_place(op, k_slot_reg), result);
}

// Stores the chosen elements of `value`, or none of them when one would fault.
void store_chosen(Core& core, const Op& op, const Wide& value, const Wide& mask, unsigned bytes, unsigned element) {
    const uint64_t base = effective_address(core, op);
    std::array<uint64_t, 16> linear{};
    for (unsigned at = 0; at < bytes; at += element) {
        if (!mask.selects(at, element))
            continue;
        const uint64_t offset = (base + at) & address_mask(op.address_size);
        linear[at / element] = segment_linear(core, op.segment, offset, element, Access::write);
        check_store(core, linear[at / element], element, op.segment);
    }
    for (unsigned at = 0; at < bytes; at += element) {
        if (mask.selects(at, element))
            store_bytes(core, linear[at / element], value.bytes.data() + at, element, op.segment);
    }
}

template <unsigned bytes, unsigned element>
void run_masked_store(Core& core, const Op& op) {
    require_avx(core);
    store_chosen(core, op, read_vector(core, vector_place(op, k_slot_reg)),
                 read_vector(core, vector_place(op, k_slot_vvvv)), bytes, element);
}

// --- MASKMOVDQU, VMASKMOVDQU, MASKMOVQ: reg = value, rm = mask, memory at DS:rDI ----------------------------------

template <NativeUnit unit>
void run_maskmov(Core& core, const Op& op) {
    if constexpr (unit == NativeUnit::avx)
        require_avx(core);
    else
        require_sse(core);
    store_chosen(core, op, read_vector(core, vector_place(op, k_slot_reg)),
                 read_vector(core, vector_place(op, k_slot_rm)), 16, 1);
}

void run_maskmovq(Core& core, const Op& op) {
    require_mmx(core);
    enter_mmx(core);
    const auto mmx = [&](unsigned slot) {
        Wide value;
        std::memcpy(value.bytes.data(), core.xsave.data() + k_st_at + vector_place(op, slot), 8);
        return value;
    };
    store_chosen(core, op, mmx(k_slot_reg), mmx(k_slot_rm), 8, 1);
}

// --- gathers: reg = destination, vvvv = mask, rm slot = index register -------------------------------------------

template <unsigned index_bytes>
int64_t index_element(const Wide& index, unsigned element) {
    if constexpr (index_bytes == 4) {
        int32_t value;
        std::memcpy(&value, index.bytes.data() + 4 * element, 4);
        return value;
    } else {
        int64_t value;
        std::memcpy(&value, index.bytes.data() + 8 * element, 8);
        return value;
    }
}

// Elements from the lowest up; one that is done or passed over has its mask cleared, so that a fault in between can be taken and the
// instruction started again.
template <unsigned index_bytes, unsigned data_bytes, unsigned count>
void run_gather(Core& core, const Op& op) {
    require_avx(core);
    const unsigned destination = vector_place(op, k_slot_reg), mask_place = vector_place(op, k_slot_vvvv);
    const Wide index = read_vector(core, vector_place(op, k_slot_rm));
    Wide result = read_vector(core, destination), mask = read_vector(core, mask_place);
    const uint64_t base = effective_address(core, op);
    for (unsigned i = 0; i < count; ++i) {
        const unsigned at = i * data_bytes;
        const bool selected = mask.selects(at, data_bytes);
        std::memset(mask.bytes.data() + at, 0, data_bytes);
        if (!selected) {
            write_vector(core, mask_place, mask);
            continue;
        }
        const uint64_t scaled = static_cast<uint64_t>(index_element<index_bytes>(index, i)) << op.scale;
        const uint64_t offset = (base + scaled) & address_mask(op.address_size);
        const uint64_t linear = segment_linear(core, op.segment, offset, data_bytes, Access::read);
        load_bytes(core, linear, result.bytes.data() + at, data_bytes, op.segment);
        write_vector(core, destination, result);
        write_vector(core, mask_place, mask);
    }
    std::memset(result.bytes.data() + count * data_bytes, 0, 32 - count * data_bytes);
    write_vector(core, destination, result);
    write_vector(core, mask_place, Wide{});
}

PlainHandler gather_handler(ZydisMnemonic mnemonic, bool wide) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_VPGATHERDD:
        case ZYDIS_MNEMONIC_VGATHERDPS: return wide ? run_gather<4, 4, 8> : run_gather<4, 4, 4>;
        case ZYDIS_MNEMONIC_VPGATHERDQ:
        case ZYDIS_MNEMONIC_VGATHERDPD: return wide ? run_gather<4, 8, 4> : run_gather<4, 8, 2>;
        case ZYDIS_MNEMONIC_VPGATHERQD:
        case ZYDIS_MNEMONIC_VGATHERQPS: return wide ? run_gather<8, 4, 4> : run_gather<8, 4, 2>;
        case ZYDIS_MNEMONIC_VPGATHERQQ:
        case ZYDIS_MNEMONIC_VGATHERQPD: return wide ? run_gather<8, 8, 4> : run_gather<8, 8, 2>;
        default: return nullptr;
    }
}

// --- building ----------------------------------------------------------------------------------------------------

void set_slot(Op& op, unsigned slot, ZydisRegister reg) {
    const auto place = static_cast<unsigned>(16 * (ZydisRegisterGetId(reg) & 15));
    uint16_t& pair = slot < 2 ? op.extra : op.extra2;
    pair = static_cast<uint16_t>((pair & (slot % 2 == 0 ? 0xff00 : 0xff)) | place << (8 * (slot % 2)));
}

bool build_gather(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                  PlainHandler& handler) {
    const bool wide = instruction.raw.vex.L != 0;
    const PlainHandler gather = gather_handler(instruction.mnemonic, wide);
    if (gather == nullptr)
        return false;
    const ZydisRegister index = operands[1].mem.index;  // the decoder has set base, scale and displacement
    const auto number = [](ZydisRegister reg) { return ZydisRegisterGetId(reg) & 15; };
    const auto destination = number(operands[0].reg.value), mask = number(operands[2].reg.value);
    if (destination == mask || destination == number(index) || mask == number(index))
        return false;  // #UD
    op.index = k_zero_register;
    set_slot(op, k_slot_reg, operands[0].reg.value);
    set_slot(op, k_slot_rm, index);
    set_slot(op, k_slot_vvvv, operands[2].reg.value);
    handler = gather;
    return true;
}

// The hidden operand [rDI], DS or an override.
void set_destination(Op& op, const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand& operand) {
    op.flags |= k_op_memory;
    op.base = 8 * k_rdi;
    op.index = k_zero_register;
    op.displacement = 0;
    op.segment = static_cast<uint8_t>(operand.mem.segment - ZYDIS_REGISTER_ES);
    op.address_size = static_cast<uint8_t>(instruction.address_width / 8);
}

bool build_maskmov(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                   PlainHandler& handler) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_MASKMOVQ: handler = run_maskmovq; break;
        case ZYDIS_MNEMONIC_MASKMOVDQU: handler = run_maskmov<NativeUnit::sse>; break;
        case ZYDIS_MNEMONIC_VMASKMOVDQU: handler = run_maskmov<NativeUnit::avx>; break;
        default: return false;
    }
    unsigned slot = k_slot_reg;
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            set_destination(op, instruction, operands[i]);
        else if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && slot <= k_slot_rm &&
                 operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            set_slot(op, slot++, operands[i].reg.value);
    }
    return true;
}

template <unsigned element>
PlainHandler masked_handler(bool wide, bool is_store) {
    if (is_store)
        return wide ? run_masked_store<32, element> : run_masked_store<16, element>;
    return wide ? run_masked_load<32, element> : run_masked_load<16, element>;
}

}  // namespace

bool build_masked_move(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                       PlainHandler& handler) {
    if (build_maskmov(instruction, operands, op, handler))
        return true;
    unsigned element = 0;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_VMASKMOVPS:
        case ZYDIS_MNEMONIC_VPMASKMOVD: element = 4; break;
        case ZYDIS_MNEMONIC_VMASKMOVPD:
        case ZYDIS_MNEMONIC_VPMASKMOVQ: element = 8; break;
        default: return build_gather(instruction, operands, op, handler);
    }
    const bool is_store = operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY, wide = instruction.raw.vex.L != 0;
    set_slot(op, k_slot_reg, operands[is_store ? 2 : 0].reg.value);
    set_slot(op, k_slot_vvvv, operands[1].reg.value);
    handler = element == 4 ? masked_handler<4>(wide, is_store) : masked_handler<8>(wide, is_store);
    return true;
}

}  // namespace skep::interp
