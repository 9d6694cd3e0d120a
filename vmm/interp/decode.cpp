// SPDX-License-Identifier: GPL-3.0-or-later
// Zydis parses; the operands go into the Op in one uniform way; the builders choose the handler.
#include "vmm/interp/decode.hpp"

#include <algorithm>
#include <limits>
#include <memory>

#include "vmm/interp/builders.hpp"
#include "vmm/interp/decode_memo.hpp"
#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/system_ops.hpp"
#include "vmm/interp/vector_ops.hpp"

namespace skep::interp {
namespace {

void raise_undefined(Core&, const Op&) { raise(k_ud); }
void raise_too_long(Core&, const Op&) { raise(k_gp, 0); }

// Features whose encodings would otherwise be taken for NOPs or prefixes stay off: the guest is not offered them.
ZydisDecoder make_decoder(ZydisMachineMode mode, ZydisStackWidth width) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, mode, width);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_TRUE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
    return decoder;
}

}  // namespace

const ZydisDecoder& decoder_for(const DecodeMode& mode) {
    static const ZydisDecoder long64 = make_decoder(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    static const ZydisDecoder protected32 = make_decoder(ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    static const ZydisDecoder protected16 = make_decoder(ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    static const ZydisDecoder real16 = make_decoder(ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
    if (mode.code64) {
        return long64;
    }
    if (mode.code32) {
        return protected32;
    }
    return mode.protected_mode && !mode.v86 ? protected16 : real16;
}

namespace {

// An immediate that is wider than its operand is sign-extended already; others are cut by the handler's width.
void set_immediate(Op& op, const ZydisDecodedOperand& operand, unsigned index) {
    const bool is_moffs = (op.flags & k_op_far_displacement) != 0 && (op.flags & k_op_rip_relative) == 0;
    if (index == 0 || !is_moffs) {
        op.immediate = operand.imm.value.u;
    }
}

void fill_operands(Op& op, const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands) {
    op.length = instruction.length;
    op.operand_size = static_cast<uint8_t>(instruction.operand_width / 8);
    op.address_size = static_cast<uint8_t>(instruction.address_width / 8);
    if (instruction.operand_count_visible != 0 && operands[0].size >= 8) {
        op.operand_size = static_cast<uint8_t>(std::min<unsigned>(operands[0].size / 8, 64));
    }
    op.flags |= (instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0 ? k_op_lock : 0;
    op.flags |= (instruction.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) != 0 ? k_op_rep : 0;
    op.flags |= (instruction.attributes & ZYDIS_ATTRIB_HAS_REPNE) != 0 ? k_op_repne : 0;
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
        const ZydisDecodedOperand& operand = operands[i];
        const bool visible = operand.visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN;
        if (!visible && operand.encoding == ZYDIS_OPERAND_ENCODING_NONE) {
            continue;
        }
        switch (operand.type) {
            case ZYDIS_OPERAND_TYPE_MEMORY:
                if ((op.flags & k_op_memory) == 0) {
                    set_memory_operand(op, instruction, operand);
                }
                break;
            case ZYDIS_OPERAND_TYPE_REGISTER:
                if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
                    op.rm = register_offset(operand.reg.value);
                } else if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
                           operand.encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
                    op.reg = register_offset(operand.reg.value);
                }
                break;
            case ZYDIS_OPERAND_TYPE_IMMEDIATE:
                if (visible) {
                    set_immediate(op, operand, i);
                }
                break;
            case ZYDIS_OPERAND_TYPE_POINTER:
                op.immediate = operand.ptr.offset;
                op.extra = operand.ptr.segment;
                break;
            default: break;
        }
    }
}

// The builders of others: system and vector instructions.
bool build_elsewhere(const Source& from, Decoded& to) {
    PlainHandler handler = nullptr;
    bool ends_block = false;
    if (!build_system_op(from.instruction, from.operands, from.mode, to.op, handler, ends_block) &&
        !build_vector_op(from.instruction, from.operands, from.mode, to.op, handler, ends_block)) {
        return false;
    }
    set_plain(to, handler, ends_block ? Flow::ends_block : Flow::next);
    return true;
}

void build(const Source& from, Decoded& to) {
    const Decoded filled = to;
    using Builder = bool (*)(const Source&, Decoded&);
    // Locked forms first: they are the same mnemonics.
    static constexpr Builder k_builders[] = {build_locked, build_move,   build_alu,      build_control,
                                             build_stack,  build_shift,  build_bits,     build_multiply,
                                             build_string, build_exchange, build_various, build_decimal,
                                             build_elsewhere};
    for (const Builder builder : k_builders) {
        if (builder(from, to)) {
            return;
        }
        to = filled;
    }
    set_plain(to, raise_undefined, Flow::ends_block);
}

Decoded broken_instruction(ZyanStatus status, size_t available, uint16_t offset) {
    Decoded broken;
    broken.op.offset = offset;
    broken.op.length = 1;
    if (status == ZYDIS_STATUS_NO_MORE_DATA && available < k_longest_instruction) {
        broken.complete = false;
        return broken;
    }
    const bool too_long = status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA;
    set_plain(broken, too_long ? raise_too_long : raise_undefined, Flow::ends_block);
    return broken;
}

}  // namespace

DecodeMode decode_mode(const Core& core) {
    DecodeMode mode{.code64 = core.code64,
                    .code32 = core.code32,
                    .stack64 = core.stack64,
                    .stack32 = core.stack32,
                    .protected_mode = core.protected_mode,
                    .v86 = core.v86};
    constexpr int64_t k_all = 0xffff'ffff;
    mode.flat = core.code32 && !core.code64 && core.segment_base[k_cs] == 0 && core.segment[k_cs].limit == k_all;
    for (const unsigned segment : {k_es, k_ss, k_ds}) {
        mode.flat = mode.flat && core.segment_base[segment] == 0 && core.write_limit[segment] == k_all &&
                    core.read_limit[segment] == k_all;
    }
    return mode;
}

void refresh_decode_mode(Core& core) {
    for (unsigned i = 0; i < core.segment.size() && !core.code64; ++i) {
        const Segment& segment = core.segment[i];
        const bool checked = core.protected_mode && !core.v86;
        const bool is_code = checked && (segment.type() & 8) != 0;
        const bool right = !checked || (segment.type() & 2) != 0;
        const bool plain = !checked || (!segment.unusable() && (is_code || (segment.type() & 4) == 0));
        core.read_limit[i] = plain && (!is_code || right) ? int64_t{segment.limit} : -1;
        core.write_limit[i] = plain && !is_code && right ? int64_t{segment.limit} : -1;
    }
    refresh_code_mode(core, decode_mode(core).key());
}

void refresh_code_mode(Core& core, unsigned key) {
    const unsigned aligned = core.tlb == core.tlb_sets[k_as_user_aligned].data() ? k_aligned_code : 0U;
    core.code_mode = static_cast<uint16_t>(key | (core.cpl == 3 ? k_user_code : 0U) | aligned);
    refresh_code_context(core);
}

RegisterOffset register_offset(ZydisRegister value) {
    if (value >= ZYDIS_REGISTER_RAX && value <= ZYDIS_REGISTER_R15) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_RAX) * 8);
    }
    if (value >= ZYDIS_REGISTER_EAX && value <= ZYDIS_REGISTER_R15D) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_EAX) * 8);
    }
    if (value >= ZYDIS_REGISTER_AX && value <= ZYDIS_REGISTER_R15W) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_AX) * 8);
    }
    if (value >= ZYDIS_REGISTER_AL && value <= ZYDIS_REGISTER_BL) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_AL) * 8);
    }
    if (value >= ZYDIS_REGISTER_AH && value <= ZYDIS_REGISTER_BH) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_AH) * 8 + 1);
    }
    if (value >= ZYDIS_REGISTER_SPL && value <= ZYDIS_REGISTER_R15B) {
        return static_cast<RegisterOffset>((value - ZYDIS_REGISTER_SPL + k_rsp) * 8);
    }
    return k_zero_register;
}

void set_memory_operand(Op& op, const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand& operand) {
    const ZydisDecodedOperandMem& memory = operand.mem;
    op.flags |= k_op_memory;
    op.address_size = static_cast<uint8_t>(instruction.address_width / 8);
    op.segment = memory.segment == ZYDIS_REGISTER_NONE ? uint8_t{k_ds}
                                                       : static_cast<uint8_t>(memory.segment - ZYDIS_REGISTER_ES);
    op.index = register_offset(memory.index);
    op.scale = memory.scale == 8 ? 3 : static_cast<uint8_t>(memory.scale / 2);
    int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    if (memory.base == ZYDIS_REGISTER_RIP || memory.base == ZYDIS_REGISTER_EIP) {
        op.base = k_block_rip_register;
        op.flags |= k_op_rip_relative;
        const int64_t sum = displacement + op.offset + op.length;
        if (sum > std::numeric_limits<int32_t>::max()) {
            op.flags |= k_op_far_displacement;
        } else {
            displacement = sum;
        }
    } else {
        op.base = register_offset(memory.base);
        // [disp32] through a SIB byte: Zydis 4.0 takes it for [r13d] with 67h and REX.B.
        const auto& raw = instruction.raw;
        if (op.address_size == 4 && raw.modrm.mod == 0 && raw.modrm.rm == 4 && raw.sib.base == 5) {
            op.base = k_zero_register;
            displacement = raw.disp.value;
        }
        if (displacement != static_cast<int32_t>(displacement)) {
            op.flags |= k_op_far_displacement;
            op.immediate = static_cast<uint64_t>(displacement);
            displacement = 0;
        }
    }
    op.displacement = static_cast<int32_t>(displacement);
}

void set_plain(Decoded& decoded, PlainHandler handler, Flow flow) {
    decoded.op.plain = handler;
    decoded.op.run = flow == Flow::next ? run_plain : run_plain_last;
    decoded.flow = flow;
}

namespace {

DecodeMemo& memo() {
    thread_local const auto own = std::make_unique<DecodeMemo>();
    return *own;
}

}  // namespace

Decoded decode_instruction(std::span<const std::byte> bytes, const DecodeMode& mode, uint16_t offset) {
    const bool has_memo = mode.code64;
    if (has_memo) {
        if (const std::optional<Decoded> known = memo().find(bytes, mode.key(), offset)) {
            return *known;
        }
    }
    bool is_relative = false;
    const Decoded decoded = decode_anew(bytes, mode, offset, is_relative);
    if (has_memo && decoded.complete) {
        memo().insert(bytes, mode.key(), decoded, is_relative);
    }
    return decoded;
}

Decoded decode_anew(std::span<const std::byte> bytes, const DecodeMode& mode, uint16_t offset, bool& is_relative_branch) {
    const size_t available = std::min(bytes.size(), k_longest_instruction);
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderContext context;
    const ZydisDecoder& decoder = decoder_for(mode);
    const ZyanStatus status =
        ZydisDecoderDecodeInstruction(&decoder, &context, bytes.data(), available, &instruction);
    if (!ZYAN_SUCCESS(status)) {
        return broken_instruction(status, available, offset);
    }
    ZydisDecoderDecodeOperands(&decoder, &context, &instruction, operands, instruction.operand_count);
    Decoded decoded;
    decoded.op.offset = offset;
    fill_operands(decoded.op, instruction, operands);
    build({instruction, operands, mode}, decoded);
    is_relative_branch = decoded.flow == Flow::branch && instruction.raw.imm[0].is_relative;
    return decoded;
}

}  // namespace skep::interp
