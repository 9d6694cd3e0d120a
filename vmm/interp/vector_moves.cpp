// SPDX-License-Identifier: GPL-3.0-or-later
// Plain moves between vector registers and memory: the most frequent vector instructions need no native function.
#include <array>
#include <cstring>

#include "vmm/interp/vector_builders.hpp"
#include "vmm/interp/vector_memory.hpp"
#include "vmm/interp/vector_state.hpp"

namespace skep::interp {

namespace {

enum class Form : uint8_t { sse, vex };

template <Form form>
inline void require(const Core& core) {
    if constexpr (form == Form::vex)
        require_avx(core);
    else
        require_sse(core);
}

inline std::byte* low_half(Core& core, const Op& op) { return core.xsave.data() + k_xmm_at + op.extra; }
inline std::byte* high_half(Core& core, const Op& op) { return core.xsave.data() + k_ymm_high_at + op.extra; }

// Sets the register to `bytes` of memory and clears the rest: of XMM for the SSE form, of YMM for the VEX form.
template <Form form, unsigned bytes>
inline void set_register(Core& core, const Op& op, const std::byte* from) {
    if constexpr (bytes < 16)
        std::memset(low_half(core, op) + bytes, 0, 16 - bytes);
    std::memcpy(low_half(core, op), from, bytes < 16 ? bytes : 16);
    if constexpr (bytes == 32)
        std::memcpy(high_half(core, op), from + 16, 16);
    else if constexpr (form == Form::vex)
        std::memset(high_half(core, op), 0, 16);
}

// Apart, so that the fast path needs no stack.
template <Form form, unsigned bytes>
[[gnu::noinline]] void load_slowly(Core& core, const Op& op, uint64_t linear) {
    std::array<std::byte, 32> buffer;
    load_bytes(core, linear, buffer.data(), bytes, op.segment);
    set_register<form, bytes>(core, op, buffer.data());
}

template <Form form, unsigned bytes, unsigned alignment>
void run_vector_load(Core& core, const Op& op) {
    require<form>(core);
    const uint64_t linear = vector_operand(core, op, bytes, alignment, Access::read);
    if (const std::byte* host = host_for_read(core, linear, bytes)) [[likely]]
        set_register<form, bytes>(core, op, host);
    else
        load_slowly<form, bytes>(core, op, linear);
}

template <Form form, unsigned bytes, unsigned alignment>
void run_vector_store(Core& core, const Op& op) {
    require<form>(core);
    if constexpr (bytes == 32) {
        alignas(32) std::array<std::byte, 32> whole;
        std::memcpy(whole.data(), low_half(core, op), 16);
        std::memcpy(whole.data() + 16, high_half(core, op), 16);
        store_operand(core, op, bytes, alignment, whole.data());
    } else {
        store_operand(core, op, bytes, alignment, low_half(core, op));
    }
}

template <typename T>
void run_movnti(Core& core, const Op& op) {
    write_rm<T>(core, op, read_reg<T>(core, op.reg));
}

template <Form form>
void run_vzeroupper(Core& core, const Op&) {
    require<form>(core);
    std::memset(core.xsave.data() + k_ymm_high_at, 0, core.code64 ? 256 : 128);
}

void run_vzeroall(Core& core, const Op& op) {
    run_vzeroupper<Form::vex>(core, op);
    std::memset(core.xsave.data() + k_xmm_at, 0, core.code64 ? 256 : 128);
}

void run_emms(Core& core, const Op&) {
    require_mmx(core);
    enter_mmx(core);
    set_vector_field<uint8_t>(core, k_ftw_at, 0);
}

struct MoveHandlers {
    PlainHandler load = nullptr, store = nullptr;
};

template <unsigned bytes, unsigned alignment>
MoveHandlers handlers_for(bool vex) {
    if (vex)
        return {run_vector_load<Form::vex, bytes, alignment>, run_vector_store<Form::vex, bytes, alignment>};
    return {run_vector_load<Form::sse, bytes, alignment>, run_vector_store<Form::sse, bytes, alignment>};
}

MoveHandlers whole_register(bool vex, unsigned bytes, bool aligned) {
    if (bytes == 32)
        return aligned ? handlers_for<32, 32>(vex) : handlers_for<32, 1>(vex);
    return aligned ? handlers_for<16, 16>(vex) : handlers_for<16, 1>(vex);
}

MoveHandlers part_of_register(bool vex, unsigned bytes) {
    if (bytes == 8)
        return handlers_for<8, 1>(vex);
    return bytes == 4 ? handlers_for<4, 1>(vex) : MoveHandlers{};
}

MoveHandlers move_handlers(ZydisMnemonic mnemonic, bool vex, unsigned bytes) {
    switch (mnemonic) {
        case ZYDIS_MNEMONIC_MOVUPS: case ZYDIS_MNEMONIC_MOVUPD: case ZYDIS_MNEMONIC_MOVDQU: case ZYDIS_MNEMONIC_LDDQU:
        case ZYDIS_MNEMONIC_VMOVUPS: case ZYDIS_MNEMONIC_VMOVUPD: case ZYDIS_MNEMONIC_VMOVDQU:
        case ZYDIS_MNEMONIC_VLDDQU:
            return whole_register(vex, bytes, false);
        case ZYDIS_MNEMONIC_MOVAPS: case ZYDIS_MNEMONIC_MOVAPD: case ZYDIS_MNEMONIC_MOVDQA:
        case ZYDIS_MNEMONIC_MOVNTPS: case ZYDIS_MNEMONIC_MOVNTPD: case ZYDIS_MNEMONIC_MOVNTDQ:
        case ZYDIS_MNEMONIC_MOVNTDQA: case ZYDIS_MNEMONIC_VMOVAPS: case ZYDIS_MNEMONIC_VMOVAPD:
        case ZYDIS_MNEMONIC_VMOVDQA: case ZYDIS_MNEMONIC_VMOVNTPS: case ZYDIS_MNEMONIC_VMOVNTPD:
        case ZYDIS_MNEMONIC_VMOVNTDQ: case ZYDIS_MNEMONIC_VMOVNTDQA:
            return whole_register(vex, bytes, true);
        case ZYDIS_MNEMONIC_MOVD: case ZYDIS_MNEMONIC_MOVQ: case ZYDIS_MNEMONIC_MOVSS: case ZYDIS_MNEMONIC_MOVSD:
        case ZYDIS_MNEMONIC_VMOVD: case ZYDIS_MNEMONIC_VMOVQ: case ZYDIS_MNEMONIC_VMOVSS: case ZYDIS_MNEMONIC_VMOVSD:
            return part_of_register(vex, bytes);
        default:
            return {};
    }
}

bool build_simple(const ZydisDecodedInstruction& instruction, Op& op, PlainHandler& handler) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_VZEROUPPER: handler = run_vzeroupper<Form::vex>; return true;
        case ZYDIS_MNEMONIC_VZEROALL: handler = run_vzeroall; return true;
        case ZYDIS_MNEMONIC_EMMS: handler = run_emms; return true;
        case ZYDIS_MNEMONIC_MOVNTI:
            handler = op.operand_size == 8 ? run_movnti<uint64_t> : run_movnti<uint32_t>;
            return true;
        default: return false;
    }
}

}  // namespace

bool build_vector_move(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands, Op& op,
                       PlainHandler& handler) {
    if (build_simple(instruction, op, handler))
        return true;
    if (instruction.operand_count_visible != 2)
        return false;
    const bool is_load = operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
    const ZydisDecodedOperand& memory = operands[is_load ? 1 : 0];
    const ZydisDecodedOperand& reg = operands[is_load ? 0 : 1];
    if (memory.type != ZYDIS_OPERAND_TYPE_MEMORY || reg.type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    const ZydisRegisterClass register_class = ZydisRegisterGetClass(reg.reg.value);
    if (register_class != ZYDIS_REGCLASS_XMM && register_class != ZYDIS_REGCLASS_YMM)
        return false;
    const bool vex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    const MoveHandlers handlers = move_handlers(instruction.mnemonic, vex, memory.size / 8);
    if (handlers.load == nullptr)
        return false;
    handler = is_load ? handlers.load : handlers.store;
    op.extra = static_cast<uint16_t>(16 * (ZydisRegisterGetId(reg.reg.value) & 15));
    return true;
}

}  // namespace skep::interp
