// SPDX-License-Identifier: GPL-3.0-or-later
// MOV MOVZX MOVSX MOVSXD LEA CMOVcc SETcc BSWAP MOVBE CBW/CWDE/CDQE CWD/CDQ/CQO XLAT LAHF SAHF (SDM 2).
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {
namespace {

template <typename T>
void run_move_register_register(Core& core, const Op* op) {
    write_reg<T>(core, op->rm, read_reg<T>(core, op->reg));
    SKEP_TAIL_CALL next(core, op);
}
template <typename T>
void run_move_register_immediate(Core& core, const Op* op) {
    write_reg<T>(core, op->rm, static_cast<T>(op->immediate));
    SKEP_TAIL_CALL next(core, op);
}
template <typename T, typename Ea>
void run_load(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        const std::byte* host = fast_read<T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, Access::read, run_load<T, EaAny>>(core, op);
        }
        write_reg<T>(core, op->reg, load_le<T>(host));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::read);
        write_reg<T>(core, op->reg, load<T>(core, op, linear, op->segment));
    }
    SKEP_TAIL_CALL next(core, op);
}
template <typename T, typename Ea>
void run_store(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        std::byte* host = fast_write<T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, Access::write, run_store<T, EaAny>>(core, op);
        }
        store_le<T>(host, read_reg<T>(core, op->reg));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::write);
        store<T>(core, op, linear, read_reg<T>(core, op->reg), op->segment);
    }
    SKEP_TAIL_CALL next(core, op);
}
template <typename T, typename Ea>
void run_store_immediate(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        std::byte* host = fast_write<T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, Access::write, run_store_immediate<T, EaAny>>(core, op);
        }
        store_le<T>(host, static_cast<T>(op->immediate));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::write);
        store<T>(core, op, linear, static_cast<T>(op->immediate), op->segment);
    }
    SKEP_TAIL_CALL next(core, op);
}

Handler choose_move(const Source& from, Op& op) {
    return for_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        if (from.is_memory(0)) {
            const bool immediate = from.is_immediate(1);
            op.reg = immediate ? op.reg : register_offset(from, 1);
            return for_address(op, from.mode, [&](auto ea) -> Handler {
                return immediate ? run_store_immediate<T, decltype(ea)> : run_store<T, decltype(ea)>;
            });
        }
        if (from.is_memory(1)) {
            op.reg = register_offset(from, 0);
            return for_address(op, from.mode, [](auto ea) -> Handler { return run_load<T, decltype(ea)>; });
        }
        op.rm = register_offset(from, 0);
        if (from.is_immediate(1)) {
            return run_move_register_immediate<T>;
        }
        op.reg = register_offset(from, 1);
        return run_move_register_register<T>;
    });
}

// --- widening: To from From, both of the signedness wanted ---------------------------------------------------------------
template <typename To, typename From>
void run_widen_register(Core& core, const Op* op) {
    write_reg<To>(core, op->reg, static_cast<To>(read_reg<From>(core, op->rm)));
    SKEP_TAIL_CALL next(core, op);
}
template <typename To, typename From, typename Ea>
void run_widen_memory(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        const std::byte* host = fast_read<From, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<From, Ea, Access::read, run_widen_memory<To, From, EaAny>>(core, op);
        }
        write_reg<To>(core, op->reg, static_cast<To>(load_le<From>(host)));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(From), Access::read);
        write_reg<To>(core, op->reg, static_cast<To>(load<From>(core, op, linear, op->segment)));
    }
    SKEP_TAIL_CALL next(core, op);
}
template <typename From>
Handler choose_widen_from(const Source& from, Op& op) {
    return for_wide_width(from.size_of(0), [&](auto width) -> Handler {
        using To = decltype(width);
        if (from.is_memory(1)) {
            return for_address(op, from.mode,
                               [](auto ea) -> Handler { return run_widen_memory<To, From, decltype(ea)>; });
        }
        op.rm = register_offset(from, 1);
        return run_widen_register<To, From>;
    });
}
Handler choose_widen(const Source& from, Op& op, bool is_signed) {
    op.reg = register_offset(from, 0);
    switch (from.size_of(1)) {
        case 1: return is_signed ? choose_widen_from<int8_t>(from, op) : choose_widen_from<uint8_t>(from, op);
        case 2: return is_signed ? choose_widen_from<int16_t>(from, op) : choose_widen_from<uint16_t>(from, op);
        default: return choose_widen_from<int32_t>(from, op);
    }
}

// --- LEA -----------------------------------------------------------------------------------------------------------------
template <typename T>
void run_lea_long(Core& core, const Op* op) {
    const uint64_t address = read_reg<uint64_t>(core, op->base) + (read_reg<uint64_t>(core, op->index) << op->scale) +
                             static_cast<uint64_t>(int64_t{op->displacement});
    write_reg<T>(core, op->reg, static_cast<T>(address));
    SKEP_TAIL_CALL next(core, op);
}
template <typename T>
void run_lea(Core& core, const Op* op) {
    write_reg<T>(core, op->reg, static_cast<T>(effective_address(core, *op)));
    SKEP_TAIL_CALL next(core, op);
}
Handler choose_lea(const Source& from, Op& op) {
    op.reg = register_offset(from, 0);
    const bool no_mask = op.address_size >= from.size_of(0) && (op.flags & k_op_far_displacement) == 0;
    return for_wide_width(from.size_of(0), [&](auto width) -> Handler {
        return no_mask ? run_lea_long<decltype(width)> : run_lea<decltype(width)>;
    });
}

// --- conditional ---------------------------------------------------------------------------------------------------------
// A 32-bit CMOV clears the upper half even when the condition is false; memory is read in any case.
template <unsigned code, typename T>
void run_cmov_register(Core& core, const Op* op) {
    const T value = read_reg<T>(core, condition_holds<code>(core.status) ? op->rm : op->reg);
    write_reg<T>(core, op->reg, value);
    SKEP_TAIL_CALL next(core, op);
}
template <unsigned code, typename T>
void run_cmov_memory(Core& core, const Op* op) {
    const uint64_t linear = EaAny::linear(core, op, sizeof(T), Access::read);
    const T value = load<T>(core, op, linear, op->segment);
    write_reg<T>(core, op->reg, condition_holds<code>(core.status) ? value : read_reg<T>(core, op->reg));
    SKEP_TAIL_CALL next(core, op);
}
template <unsigned code>
void run_setcc_register(Core& core, const Op* op) {
    write_reg<uint8_t>(core, op->rm, condition_holds<code>(core.status) ? 1 : 0);
    SKEP_TAIL_CALL next(core, op);
}
template <unsigned code>
void run_setcc_memory(Core& core, const Op* op) {
    const uint64_t linear = EaAny::linear(core, op, 1, Access::write);
    store<uint8_t>(core, op, linear, condition_holds<code>(core.status) ? 1 : 0, op->segment);
    SKEP_TAIL_CALL next(core, op);
}

template <unsigned code>
Handler cmov_for(const Source& from) {
    return for_wide_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        return from.is_memory(1) ? run_cmov_memory<code, T> : run_cmov_register<code, T>;
    });
}
template <unsigned code>
Handler setcc_for(const Source& from) {
    return from.is_memory(0) ? run_setcc_memory<code> : run_setcc_register<code>;
}
template <unsigned... codes>
Handler choose_conditional(const Source& from, bool is_cmov, std::integer_sequence<unsigned, codes...>) {
    Handler handler = nullptr;
    const unsigned wanted = from.instruction.opcode & 0xf;
    ((codes == wanted ? void(handler = is_cmov ? cmov_for<codes>(from) : setcc_for<codes>(from)) : void()), ...);
    return handler;
}
bool build_conditional(const Source& from, Decoded& to) {
    const auto& instruction = from.instruction;
    if (instruction.opcode_map != ZYDIS_OPCODE_MAP_0F || instruction.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        return false;
    }
    const unsigned row = instruction.opcode & 0xf0;
    if (row != 0x40 && row != 0x90) {
        return false;
    }
    if (row == 0x40) {
        to.op.reg = register_offset(from, 0);
        to.op.rm = from.is_register(1) ? register_offset(from, 1) : k_zero_register;
    } else {
        to.op.rm = from.is_register(0) ? register_offset(from, 0) : k_zero_register;
    }
    to.op.run = choose_conditional(from, row == 0x40, std::make_integer_sequence<unsigned, 16>{});
    return true;
}

// --- the rest ------------------------------------------------------------------------------------------------------------
template <typename T>
void swap_bytes(Core& core, const Op* op) {
    // BSWAP of a 16-bit register is undefined; processors clear it.
    write_reg<T>(core, op->rm, sizeof(T) == 2 ? T{0} : byte_swap(read_reg<T>(core, op->rm)));
}
template <typename T>
void move_big_endian(Core& core, const Op* op) {
    set_fault_rip(core, op);
    if (op->extra != 0) {
        store<T>(core, operand_linear(core, *op, sizeof(T), Access::write), byte_swap(read_reg<T>(core, op->reg)),
                 op->segment);
    } else {
        write_reg<T>(core, op->reg,
                     byte_swap(load<T>(core, operand_linear(core, *op, sizeof(T), Access::read), op->segment)));
    }
}
template <typename Wide, typename Narrow>
void widen_accumulator(Core& core, const Op*) {
    write_reg<Wide>(core, k_rax * 8, static_cast<Wide>(read_reg<Narrow>(core, k_rax * 8)));
}
template <typename T>
void sign_to_dx(Core& core, const Op*) {
    using Signed = std::make_signed_t<T>;
    write_reg<T>(core, k_rdx * 8, static_cast<Signed>(read_reg<T>(core, k_rax * 8)) < 0 ? static_cast<T>(~T{0}) : T{0});
}
void translate_byte(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t offset =
        (core.gpr[k_rbx] + read_reg<uint8_t>(core, k_rax * 8)) & address_mask(op->address_size);
    const uint64_t linear = segment_linear(core, op->segment, offset, 1, Access::read);
    write_reg<uint8_t>(core, k_rax * 8, load<uint8_t>(core, linear, op->segment));
}
void load_flags_to_ah(Core& core, const Op*) {
    write_reg<uint8_t>(core, k_rax * 8 + 1, static_cast<uint8_t>(rflags_from_status(core.status) | 2));
}
void store_ah_to_flags(Core& core, const Op*) {
    write_arithmetic_flags(core, read_reg<uint8_t>(core, k_rax * 8 + 1), 0xd5);
}

bool build_move_various(const Source& from, Op& op) {
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_BSWAP:
            op.rm = register_offset(from, 0);
            op.run = for_wide_width(from.size_of(0), [](auto w) -> Handler { return run_then_next<swap_bytes<decltype(w)>>; });
            return true;
        case ZYDIS_MNEMONIC_MOVBE:
            op.extra = from.is_memory(0) ? 1 : 0;
            op.reg = register_offset(from, from.is_memory(0) ? 1 : 0);
            op.run = for_wide_width(from.size_of(0),
                                    [](auto w) -> Handler { return run_then_next<move_big_endian<decltype(w)>>; });
            return x86::host_vector_features().movbe;
        case ZYDIS_MNEMONIC_CBW: op.run = run_then_next<widen_accumulator<uint16_t, int8_t>>; return true;
        case ZYDIS_MNEMONIC_CWDE: op.run = run_then_next<widen_accumulator<uint32_t, int16_t>>; return true;
        case ZYDIS_MNEMONIC_CDQE: op.run = run_then_next<widen_accumulator<uint64_t, int32_t>>; return true;
        case ZYDIS_MNEMONIC_CWD: op.run = run_then_next<sign_to_dx<uint16_t>>; return true;
        case ZYDIS_MNEMONIC_CDQ: op.run = run_then_next<sign_to_dx<uint32_t>>; return true;
        case ZYDIS_MNEMONIC_CQO: op.run = run_then_next<sign_to_dx<uint64_t>>; return true;
        case ZYDIS_MNEMONIC_XLAT: op.run = run_then_next<translate_byte>; return true;
        case ZYDIS_MNEMONIC_LAHF: op.run = run_then_next<load_flags_to_ah>; return true;
        case ZYDIS_MNEMONIC_SAHF: op.run = run_then_next<store_ah_to_flags>; return true;
        default: return false;
    }
}

}  // namespace

bool build_move(const Source& from, Decoded& to) {
    Op& op = to.op;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_MOV: {
            const auto is_general = [&](unsigned i) {
                return !from.is_register(i) || register_offset(from, i) != k_zero_register;
            };
            if (!is_general(0) || !is_general(1)) {
                return false;  // segment, control and debug registers
            }
            op.run = choose_move(from, op);
            return true;
        }
        case ZYDIS_MNEMONIC_MOVZX: op.run = choose_widen(from, op, false); return true;
        case ZYDIS_MNEMONIC_MOVSX:
        case ZYDIS_MNEMONIC_MOVSXD:
            // MOVSXD with a 16-bit operand size, or without REX.W, moves without widening (SDM 2, MOVSXD).
            op.run = choose_widen(from, op, true);
            return true;
        case ZYDIS_MNEMONIC_LEA: op.run = choose_lea(from, op); return true;
        default: return build_move_various(from, op) || build_conditional(from, to);
    }
}

}  // namespace skep::interp
