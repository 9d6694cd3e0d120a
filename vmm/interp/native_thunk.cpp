// SPDX-License-Identifier: GPL-3.0-or-later
// Generator of native functions: rewrites the guest's bytes to fixed host registers and a [rsi] memory operand, and
// puts loads and stores of the guest's registers around them. Intel SDM volume 2, chapter 2 (encoding).
#include "vmm/interp/native_thunk.hpp"

#include <asmjit/core.h>

#include <cstddef>

#include "vmm/interp/core.hpp"
#include "vmm/interp/op.hpp"

namespace skep::interp {

namespace {

// Register use inside a native function: RDI = Core, RSI = memory operand, RDX = Op, RAX = the general register
// operand; vector registers by slot, number 0 kept for the implicit XMM0 of BLENDV and SHA256RNDS2.
constexpr std::array<unsigned, k_slot_count> k_host_register = {1, 2, 3, 4};

constexpr uint32_t k_xsave = offsetof(Core, xsave);
constexpr uint32_t k_gpr = offsetof(Core, gpr);
constexpr uint32_t k_mxcsr = k_xsave + 24, k_mm = k_xsave + 32, k_xmm = k_xsave + 160;
static_assert(offsetof(Op, extra2) == offsetof(Op, extra) + 2, "four register slots lie in a row");

enum class SlotClass : uint8_t { none, gpr, mmx, xmm, ymm };

struct Slot {
    SlotClass kind = SlotClass::none;
    bool written = false;
    uint8_t place = 0;  // what goes into Op: 16 * number, 8 * number for a general register
};

struct Shape {
    std::array<Slot, k_slot_count> slots{};
    bool implicit_xmm0_read = false, implicit_xmm0_written = false;
    bool string_compare_lengths = false;  // PCMPESTRx: RAX and RDX
    bool writes_rcx = false;
    bool memory = false;
    bool refused = false;
    const ZydisDecodedOperand* memory_operand = nullptr;
};

SlotClass slot_class(ZydisRegister reg) {
    switch (ZydisRegisterGetClass(reg)) {
        case ZYDIS_REGCLASS_GPR32:
        case ZYDIS_REGCLASS_GPR64:
            return SlotClass::gpr;
        case ZYDIS_REGCLASS_MMX:
            return SlotClass::mmx;
        case ZYDIS_REGCLASS_XMM:
            return SlotClass::xmm;
        case ZYDIS_REGCLASS_YMM:
            return SlotClass::ymm;
        default:
            return SlotClass::none;
    }
}

void note_implicit(Shape& shape, const ZydisDecodedOperand& operand) {
    const bool written = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    if (ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_FLAGS ||
        operand.reg.value == ZYDIS_REGISTER_MXCSR)
        return;
    switch (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value)) {
        case ZYDIS_REGISTER_ZMM0:
            (written ? shape.implicit_xmm0_written : shape.implicit_xmm0_read) = true;
            break;
        case ZYDIS_REGISTER_RAX:
        case ZYDIS_REGISTER_RDX:
            shape.string_compare_lengths = true;
            break;
        case ZYDIS_REGISTER_RCX:
            shape.writes_rcx = true;
            break;
        default:
            shape.refused = true;
    }
}

void note_register(Shape& shape, const ZydisDecodedOperand& operand) {
    unsigned slot = k_slot_count;
    switch (operand.encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG:
            slot = k_slot_reg;
            break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM:
            slot = k_slot_rm;
            break;
        case ZYDIS_OPERAND_ENCODING_NDSNDD:
            slot = k_slot_vvvv;
            break;
        case ZYDIS_OPERAND_ENCODING_IS4:
            slot = k_slot_is4;
            break;
        default:
            note_implicit(shape, operand);
            return;
    }
    Slot& s = shape.slots[slot];
    s.kind = slot_class(operand.reg.value);
    s.written = s.written || (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    const auto number = static_cast<unsigned>(ZydisRegisterGetId(operand.reg.value));
    s.place = static_cast<uint8_t>((s.kind == SlotClass::gpr ? 8 : 16) * (number & 15));
    shape.refused |= s.kind == SlotClass::none || number > 15;
}

Shape shape_of(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands) {
    Shape shape;
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
        const ZydisDecodedOperand& operand = operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
            note_register(shape, operand);
        } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            shape.refused |= shape.memory || operand.mem.type != ZYDIS_MEMOP_TYPE_MEM;
            shape.memory = true;
            shape.memory_operand = &operand;
        }
    }
    return shape;
}

// x87 registers stay where they are, only a memory operand matters.
Shape x87_shape(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands) {
    Shape shape;
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        shape.memory = true;
        shape.memory_operand = &operands[i];
        const unsigned bytes = operands[i].size / 8;
        shape.refused |= bytes != 2 && bytes != 4 && bytes != 8 && bytes != 10;
    }
    const bool escape = instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction.opcode & 0xf8) == 0xd8;
    shape.refused |= !escape;
    return shape;
}

// --- the instruction itself, rewritten --------------------------------------------------------------------------

uint8_t rewritten_modrm(const ZydisDecodedInstruction& instruction, const Shape& shape) {
    const auto number = [&](RegisterSlot slot) {
        return shape.slots[slot].kind == SlotClass::gpr ? 0u : k_host_register[slot];
    };
    unsigned reg = instruction.raw.modrm.reg;
    if (shape.slots[k_slot_reg].kind != SlotClass::none)
        reg = number(k_slot_reg);
    if (shape.memory)
        return static_cast<uint8_t>(reg << 3 | 6);  // [rsi]
    unsigned rm = instruction.raw.modrm.rm;
    if (shape.slots[k_slot_rm].kind != SlotClass::none)
        rm = number(k_slot_rm);
    return static_cast<uint8_t>(0xc0 | reg << 3 | rm);
}

void emit_immediate(NativeEmitter& out, const ZydisDecodedInstruction& instruction, const Shape& shape) {
    for (const auto& imm : instruction.raw.imm) {
        if (imm.size == 0)
            continue;
        if (shape.slots[k_slot_is4].kind != SlotClass::none)
            out.bytes({k_host_register[k_slot_is4] << 4});
        else
            out.bytes({static_cast<unsigned>(imm.value.u & 0xff)});
        // EXTRQ and INSERTQ have two immediate bytes.
    }
}

// REX.W or VEX.W has no effect outside 64-bit mode where it would choose a 64-bit general register.
bool effective_w(const ZydisDecodedInstruction& instruction, const Shape& shape, bool w) {
    if (instruction.machine_mode == ZYDIS_MACHINE_MODE_LONG_64)
        return w;
    const bool gpr =
        shape.slots[k_slot_reg].kind == SlotClass::gpr || shape.slots[k_slot_rm].kind == SlotClass::gpr;
    const bool moves_general = instruction.opcode_map == ZYDIS_OPCODE_MAP_0F &&
                               (instruction.opcode == 0x6e || instruction.opcode == 0x7e || instruction.opcode == 0x2a ||
                                instruction.opcode == 0x2c || instruction.opcode == 0x2d);
    const bool inserts = instruction.opcode_map == ZYDIS_OPCODE_MAP_0F3A &&
                         (instruction.opcode == 0x16 || instruction.opcode == 0x22);
    return w && !gpr && !moves_general && !inserts;
}

bool emit_legacy(NativeEmitter& out, const ZydisDecodedInstruction& instruction, const Shape& shape) {
    for (unsigned i = 0; i < instruction.raw.prefix_count; ++i) {
        if (instruction.raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
            out.bytes({instruction.raw.prefixes[i].value});
    }
    if ((instruction.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && instruction.raw.rex.W != 0)
        out.bytes({0x48});
    switch (instruction.opcode_map) {
        case ZYDIS_OPCODE_MAP_DEFAULT:
            break;
        case ZYDIS_OPCODE_MAP_0F:
            out.bytes({0x0f});
            break;
        case ZYDIS_OPCODE_MAP_0F38:
            out.bytes({0x0f, 0x38});
            break;
        case ZYDIS_OPCODE_MAP_0F3A:
            out.bytes({0x0f, 0x3a});
            break;
        default:
            return false;
    }
    out.bytes({instruction.opcode});
    if ((instruction.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0)
        out.bytes({rewritten_modrm(instruction, shape)});
    emit_immediate(out, instruction, shape);
    return true;
}

void emit_vex(NativeEmitter& out, const ZydisDecodedInstruction& instruction, const Shape& shape) {
    const auto& vex = instruction.raw.vex;
    const bool names_register = shape.slots[k_slot_vvvv].kind != SlotClass::none;
    const unsigned vvvv = names_register ? ~k_host_register[k_slot_vvvv] & 0xf : 0xf;
    const unsigned w = effective_w(instruction, shape, vex.W != 0) ? 0x80 : 0;
    out.bytes({0xc4, 0xe0u | vex.m_mmmm, w | vvvv << 3 | unsigned{vex.L} << 2 | vex.pp, instruction.opcode});
    if ((instruction.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0)
        out.bytes({rewritten_modrm(instruction, shape)});
    emit_immediate(out, instruction, shape);
}

// --- around it --------------------------------------------------------------------------------------------------

// movzx ecx, byte [rdx + Op::extra + slot]
void emit_slot_offset(NativeEmitter& out, unsigned slot) {
    out.bytes({0x0f, 0xb6, 0x4a, static_cast<unsigned>(offsetof(Op, extra)) + slot});
}

// ModRM, SIB and displacement of [rdi + rcx + displacement].
void emit_place(NativeEmitter& out, unsigned reg, uint32_t displacement) {
    out.bytes({0x84 | reg << 3, 0x0f});
    out.word(displacement);
}

// A vector register from or to its place in the XSAVE image, 16 * number in RCX; `store` chooses the direction.
void emit_vector_move(NativeEmitter& out, SlotClass kind, unsigned host, bool vex, bool store) {
    if (vex)
        out.bytes({0xc5, 0xf8, store ? 0x11u : 0x10u});  // vmovups
    else
        out.bytes({0x0f, store ? 0x11u : 0x10u});  // movups
    emit_place(out, host, k_xmm);
    if (!vex || (!store && kind != SlotClass::ymm))
        return;
    // vextractf128 [..], ymm, 1 (zeroes for a 128-bit result, as the instruction left them)
    // vinsertf128 ymm, ymm, [..], 1
    if (store)
        out.bytes({0xc4, 0xe3, 0x7d, 0x19});
    else
        out.bytes({0xc4, 0xe3, (~host & 0xf) << 3 | 5, 0x18});
    emit_place(out, host, k_xmm + k_ymm_high_distance);
    out.bytes({1});
}

void emit_load(NativeEmitter& out, const Slot& slot, unsigned index, bool vex) {
    emit_slot_offset(out, index);
    const unsigned host = k_host_register[index];
    if (slot.kind == SlotClass::gpr)
        out.bytes({0x48, 0x8b});  // mov rax, [..]
    else if (slot.kind == SlotClass::mmx)
        out.bytes({0x0f, 0x6f});  // movq mm, [..]
    else
        return emit_vector_move(out, slot.kind, host, vex, false);
    emit_place(out, slot.kind == SlotClass::gpr ? 0 : host, slot.kind == SlotClass::gpr ? k_gpr : k_mm);
}

void emit_store(NativeEmitter& out, const Slot& slot, unsigned index, bool vex) {
    emit_slot_offset(out, index);
    const unsigned host = k_host_register[index];
    if (slot.kind == SlotClass::gpr) {
        out.bytes({0x48, 0x89});  // mov [..], rax
        emit_place(out, 0, k_gpr);
    } else if (slot.kind == SlotClass::mmx) {
        out.bytes({0x0f, 0x7f});  // movq [..], mm
        emit_place(out, host, k_mm);
        out.bytes({0x66, 0xc7});  // mov word [..], 0xffff: the exponent
        emit_place(out, 0, k_mm + 8);
        out.bytes({0xff, 0xff});
    } else {
        emit_vector_move(out, slot.kind, host, vex, true);
    }
}

// mov ecx, 0 (flags stay), then the move of register 0
void emit_implicit_xmm0(NativeEmitter& out, bool vex, bool store) {
    out.bytes({0xb9});
    out.word(0);
    emit_vector_move(out, SlotClass::xmm, 0, vex, store);
}

void emit_prologue(NativeEmitter& out, const Shape& shape, bool vex, bool uses_mxcsr) {
    out.bytes({0xf3, 0x0f, 0x1e, 0xfa});  // endbr64
    if (uses_mxcsr) {
        out.bytes({0x0f, 0xae, 0x97});  // ldmxcsr [rdi + mxcsr]
        out.word(k_mxcsr);
    }
    for (unsigned i = 0; i < k_slot_count; ++i) {
        if (shape.slots[i].kind != SlotClass::none)
            emit_load(out, shape.slots[i], i, vex);
    }
    if (shape.implicit_xmm0_read)
        emit_implicit_xmm0(out, vex, false);
    if (!shape.string_compare_lengths)
        return;
    out.bytes({0x48, 0x8b, 0x87});  // mov rax, [rdi + RAX]
    out.word(k_gpr + 8 * k_rax);
    out.bytes({0x48, 0x8b, 0x97});  // mov rdx, [rdi + RDX]
    out.word(k_gpr + 8 * k_rdx);
}

void emit_epilogue(NativeEmitter& out, const Shape& shape, const NativeOp& properties, bool vex) {
    if (shape.writes_rcx) {
        out.bytes({0x48, 0x89, 0x8f});  // mov [rdi + RCX], rcx
        out.word(k_gpr + 8 * k_rcx);
    }
    size_t restore = 0;
    if (properties.uses_mxcsr) {
        out.bytes({0x0f, 0xae, 0x9f});  // stmxcsr [rdi + mxcsr]
        out.word(k_mxcsr);
        out.bytes({0x0f, 0xae, 0x15});  // ldmxcsr [rip + host]
        restore = out.size();
        out.word(0);
    }
    for (unsigned i = 0; i < k_slot_count; ++i) {
        if (shape.slots[i].written)
            emit_store(out, shape.slots[i], i, vex);
    }
    if (shape.implicit_xmm0_written)
        emit_implicit_xmm0(out, vex, true);
    if (properties.sets_flags)
        out.bytes({0x0f, 0x90, 0xc0, 0x9f});  // seto al; lahf (no move above changes flags)
    if (vex)
        out.bytes({0xc5, 0xf8, 0x77});  // vzeroupper
    if (properties.uses_mmx)
        out.bytes({0x0f, 0x77});  // emms
    out.bytes({0xc3});
    if (properties.uses_mxcsr) {
        out.patch32(restore, static_cast<uint32_t>(out.size() - restore - 4));
        out.word(0x1f80);
    }
}

// --- properties -------------------------------------------------------------------------------------------------

bool raises_fp_exceptions(const ZydisDecodedInstruction& instruction) {
    switch (instruction.meta.exception_class) {
        case ZYDIS_EXCEPTION_CLASS_SSE2:
        case ZYDIS_EXCEPTION_CLASS_SSE3:
        case ZYDIS_EXCEPTION_CLASS_AVX2:
        case ZYDIS_EXCEPTION_CLASS_AVX3:
        case ZYDIS_EXCEPTION_CLASS_AVX11:
            return true;
        default:
            break;
    }
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_CVTPD2PI:
        case ZYDIS_MNEMONIC_CVTTPD2PI:
        case ZYDIS_MNEMONIC_CVTPI2PS:
        case ZYDIS_MNEMONIC_CVTPI2PD:
        case ZYDIS_MNEMONIC_CVTPS2PI:
        case ZYDIS_MNEMONIC_CVTTPS2PI:
            return true;
        default:
            return false;
    }
}

// Which memory operands must be aligned (SDM 2, 2.4 and 2.7: exception types 1, 2, 4 and VEX type 1).
uint8_t alignment_of(const ZydisDecodedInstruction& instruction, unsigned memory_bytes) {
    switch (instruction.meta.exception_class) {
        case ZYDIS_EXCEPTION_CLASS_SSE1:
        case ZYDIS_EXCEPTION_CLASS_SSE2:
        case ZYDIS_EXCEPTION_CLASS_AVX1:
            return static_cast<uint8_t>(memory_bytes);
        case ZYDIS_EXCEPTION_CLASS_SSE4:
            break;
        default:
            return memory_bytes == 16 && (instruction.mnemonic == ZYDIS_MNEMONIC_CVTPD2PI ||
                                          instruction.mnemonic == ZYDIS_MNEMONIC_CVTTPD2PI)
                       ? 16
                       : 1;
    }
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_MOVUPS:
        case ZYDIS_MNEMONIC_MOVUPD:
        case ZYDIS_MNEMONIC_MOVDQU:
        case ZYDIS_MNEMONIC_LDDQU:
        case ZYDIS_MNEMONIC_PCMPESTRI:
        case ZYDIS_MNEMONIC_PCMPESTRM:
        case ZYDIS_MNEMONIC_PCMPISTRI:
        case ZYDIS_MNEMONIC_PCMPISTRM:
            return 1;
        default:
            return memory_bytes == 16 ? 16 : 1;
    }
}

void note_result(NativeOp& properties, const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                 const Shape& shape) {
    for (unsigned i = 0; i < k_slot_count; ++i) {
        if (shape.slots[i].written && shape.slots[i].kind != SlotClass::mmx)
            properties.result_slot = static_cast<uint8_t>(i);
    }
    const ZydisDecodedOperand& result = operands[0];
    const bool is_float =
        result.element_type == ZYDIS_ELEMENT_TYPE_FLOAT32 || result.element_type == ZYDIS_ELEMENT_TYPE_FLOAT64;
    properties.element_bytes = is_float ? static_cast<uint8_t>(result.element_size / 8) : 0;
    properties.scalar = instruction.meta.exception_class == ZYDIS_EXCEPTION_CLASS_SSE3 ||
                        instruction.meta.exception_class == ZYDIS_EXCEPTION_CLASS_AVX3;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_MINPS: case ZYDIS_MNEMONIC_MINPD: case ZYDIS_MNEMONIC_MINSS: case ZYDIS_MNEMONIC_MINSD:
        case ZYDIS_MNEMONIC_MAXPS: case ZYDIS_MNEMONIC_MAXPD: case ZYDIS_MNEMONIC_MAXSS: case ZYDIS_MNEMONIC_MAXSD:
        case ZYDIS_MNEMONIC_VMINPS: case ZYDIS_MNEMONIC_VMINPD: case ZYDIS_MNEMONIC_VMINSS: case ZYDIS_MNEMONIC_VMINSD:
        case ZYDIS_MNEMONIC_VMAXPS: case ZYDIS_MNEMONIC_VMAXPD: case ZYDIS_MNEMONIC_VMAXSS: case ZYDIS_MNEMONIC_VMAXSD:
        case ZYDIS_MNEMONIC_CVTPI2PS: case ZYDIS_MNEMONIC_CVTPI2PD:
            properties.arithmetic = false;  // a denormal here was passed on, nothing underflowed
            break;
        default:
            properties.arithmetic = properties.uses_mxcsr && is_float && properties.result_slot != 0xff;
    }
}

}  // namespace

// fxrstor64; [sahf]; the instruction; [seto, lahf]; fxsave64; fninit; the host's MXCSR. The guest's own exception masks
// are in force: an unmasked exception sets FSW.ES, which the next waiting instruction meets in software.
const NativeOp* build_native_x87(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands) {
    NativeOp properties;
    properties.unit = NativeUnit::x87;
    properties.waits = true;
    const Shape shape = x87_shape(instruction, operands);
    if (shape.refused)
        return nullptr;
    if (shape.memory) {
        properties.memory_bytes = static_cast<uint8_t>(shape.memory_operand->size / 8);
        properties.loads = (shape.memory_operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        properties.stores = (shape.memory_operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    }
    const ZydisAccessedFlags* flags = instruction.cpu_flags;
    properties.sets_flags = flags != nullptr && (flags->modified | flags->set_0) != 0;

    NativeEmitter out;
    out.bytes({0xf3, 0x0f, 0x1e, 0xfa});        // endbr64
    out.bytes({0x48, 0x0f, 0xae, 0x8f});        // fxrstor64 [rdi + xsave]
    out.word(k_xsave);
    if (flags != nullptr && flags->tested != 0) {
        out.bytes({0x8a, 0xa7});                // mov ah, [rdi + status + 1]
        out.word(offsetof(Core, status) + 1);
        out.bytes({0x9e});                      // sahf
    }
    const unsigned modrm = instruction.raw.modrm.reg << 3u;
    if (shape.memory)
        out.bytes({instruction.opcode, modrm | 6});
    else
        out.bytes({instruction.opcode, 0xc0 | modrm | instruction.raw.modrm.rm});
    if (properties.sets_flags)
        out.bytes({0x0f, 0x90, 0xc0, 0x9f});    // seto al; lahf
    out.bytes({0x48, 0x0f, 0xae, 0x87});        // fxsave64 [rdi + xsave]
    out.word(k_xsave);
    out.bytes({0xdb, 0xe3});                    // fninit
    out.bytes({0x0f, 0xae, 0x15});              // ldmxcsr [rip + host]
    out.word(1);
    out.bytes({0xc3});
    out.word(0x1f80);
    return intern_native_op(properties, out.code());
}

namespace {

bool describe(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, NativeUnit unit,
              const Shape& shape, NativeOp& properties) {
    if (shape.refused || unit == NativeUnit::x87)
        return false;
    properties.unit = unit;
    properties.uses_mxcsr = raises_fp_exceptions(instruction);
    properties.sets_flags = instruction.cpu_flags != nullptr &&
                           (instruction.cpu_flags->modified | instruction.cpu_flags->set_0) != 0;
    for (const Slot& slot : shape.slots)
        properties.uses_mmx |= slot.kind == SlotClass::mmx;
    if (shape.memory) {
        properties.memory_bytes = static_cast<uint8_t>(shape.memory_operand->size / 8);
        properties.alignment = alignment_of(instruction, properties.memory_bytes);
        properties.loads = (shape.memory_operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        properties.stores = (shape.memory_operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        if (properties.memory_bytes == 0 || properties.memory_bytes > 32)
            return false;
    }
    note_result(properties, instruction, operands, shape);
    return true;
}

}  // namespace

bool describe_native_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                        NativeUnit unit, NativeOp& properties) {
    return describe(instruction, operands, unit, shape_of(instruction, operands), properties);
}

NativeBuild build_native_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                            NativeUnit unit) {
    const Shape shape = shape_of(instruction, operands);
    const bool vex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    NativeOp properties;
    if (!describe(instruction, operands, unit, shape, properties))
        return {};

    NativeEmitter out;
    emit_prologue(out, shape, vex, properties.uses_mxcsr);
    if (vex)
        emit_vex(out, instruction, shape);
    else if (!emit_legacy(out, instruction, shape))
        return {};
    emit_epilogue(out, shape, properties, vex);
    if (out.overflowed())
        return {};
    NativeBuild build;
    build.op = intern_native_op(properties, out.code());
    for (unsigned i = 0; i < k_slot_count; ++i)
        build.slots |= uint32_t{shape.slots[i].place} << (8 * i);
    return build;
}

}  // namespace skep::interp
