// SPDX-License-Identifier: GPL-3.0-or-later
// ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT in every operand form (SDM 2).
#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"

namespace skep::interp {
namespace {

// --- two operands: destination first -----------------------------------------------------------------------------------
template <typename Operation, typename T>
inline void to_register(Core& core, RegisterOffset destination, T source) {
    const T result = Operation::apply(core.status, read_reg<T>(core, destination), source);
    if constexpr (Operation::k_writes) {
        write_reg<T>(core, destination, result);
    }
}
template <typename Operation, typename T>
inline void to_host(Core& core, std::byte* host, T source) {
    const T result = Operation::apply(core.status, load_le<T>(host), source);
    if constexpr (Operation::k_writes) {
        store_le<T>(host, result);
    }
}
template <typename Operation>
inline constexpr Access k_destination_access = Operation::k_writes ? Access::write : Access::read;
template <typename Operation, typename T, typename Ea>
inline std::byte* fast_destination(Core& core, const Op* op) {
    if constexpr (Operation::k_writes) {
        return fast_write<T, Ea>(core, op);
    } else {
        return const_cast<std::byte*>(fast_read<T, Ea>(core, op));
    }
}
template <typename Operation, typename T>
inline void to_memory(Core& core, const Op* op, T source) {
    using Ea = EaAny;
    if constexpr (Operation::k_writes) {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::write);
        modify<T>(core, op, linear, [&](T old) {
            return Operation::apply(core.status, old, source);
        });
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::read);
        Operation::apply(core.status, load<T>(core, op, linear, op->segment), source);
    }
}
template <typename Operation, typename T>
void run_register_register(Core& core, const Op* op) {
    to_register<Operation, T>(core, op->rm, read_reg<T>(core, op->reg));
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T>
void run_register_immediate(Core& core, const Op* op) {
    to_register<Operation, T>(core, op->rm, static_cast<T>(op->immediate));
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T, typename Ea>
void run_register_memory(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        const std::byte* host = fast_read<T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, Access::read, run_register_memory<Operation, T, EaAny>>(core, op);
        }
        to_register<Operation, T>(core, op->reg, load_le<T>(host));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::read);
        to_register<Operation, T>(core, op->reg, load<T>(core, op, linear, op->segment));
    }
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T, typename Ea>
void run_memory_register(Core& core, const Op* op) {
    const T source = read_reg<T>(core, op->reg);
    if constexpr (k_is_fast_shape<Ea>) {
        std::byte* host = fast_destination<Operation, T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, k_destination_access<Operation>,
                                      run_memory_register<Operation, T, EaAny>>(core, op);
        }
        to_host<Operation, T>(core, host, source);
    } else {
        to_memory<Operation, T>(core, op, source);
    }
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T, typename Ea>
void run_memory_immediate(Core& core, const Op* op) {
    const auto source = static_cast<T>(op->immediate);
    if constexpr (k_is_fast_shape<Ea>) {
        std::byte* host = fast_destination<Operation, T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, k_destination_access<Operation>,
                                      run_memory_immediate<Operation, T, EaAny>>(core, op);
        }
        to_host<Operation, T>(core, host, source);
    } else {
        to_memory<Operation, T>(core, op, source);
    }
    SKEP_TAIL_CALL next(core, op);
}

// XOR and SUB of a register with itself, the way compilers write zero.
template <typename T>
void run_zero(Core& core, const Op* op) {
    core.status = k_status_zf | k_status_pf | 0x200;
    write_reg<T>(core, op->rm, T{0});
    SKEP_TAIL_CALL next(core, op);
}

template <typename Operation>
Handler choose_binary(const Source& from, Op& op) {
    const DecodeMode& mode = from.mode;
    return for_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        if (from.is_memory(0)) {
            const bool immediate = from.is_immediate(1);
            return for_address(op, mode, [&](auto ea) -> Handler {
                using Ea = decltype(ea);
                return immediate ? run_memory_immediate<Operation, T, Ea> : run_memory_register<Operation, T, Ea>;
            });
        }
        if (from.is_memory(1)) {
            op.reg = register_offset(from, 0);
            return for_address(op, mode,
                               [](auto ea) -> Handler { return run_register_memory<Operation, T, decltype(ea)>; });
        }
        op.rm = register_offset(from, 0);
        if (from.is_immediate(1)) {
            return run_register_immediate<Operation, T>;
        }
        op.reg = register_offset(from, 1);
        return run_register_register<Operation, T>;
    });
}

// --- one operand -------------------------------------------------------------------------------------------------------
template <typename Operation, typename T>
void run_unary_register(Core& core, const Op* op) {
    write_reg<T>(core, op->rm, Operation::apply(core.status, read_reg<T>(core, op->rm)));
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T, typename Ea>
void run_unary_memory(Core& core, const Op* op) {
    if constexpr (k_is_fast_shape<Ea>) {
        std::byte* host = fast_write<T, Ea>(core, op);
        if (host == nullptr) [[unlikely]] {
            SKEP_TAIL_CALL run_missed<T, Ea, Access::write, run_unary_memory<Operation, T, EaAny>>(core, op);
        }
        store_le<T>(host, Operation::apply(core.status, load_le<T>(host)));
    } else {
        const uint64_t linear = Ea::linear(core, op, sizeof(T), Access::write);
        modify<T>(core, op, linear, [&](T old) { return Operation::apply(core.status, old); });
    }
    SKEP_TAIL_CALL next(core, op);
}

template <typename Operation>
Handler choose_unary(const Source& from, Op& op) {
    return for_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        if (from.is_memory(0)) {
            return for_address(op, from.mode,
                               [](auto ea) -> Handler { return run_unary_memory<Operation, T, decltype(ea)>; });
        }
        op.rm = register_offset(from, 0);
        return run_unary_register<Operation, T>;
    });
}

bool zeroes_register(const Source& from) {
    return (from.mnemonic() == ZYDIS_MNEMONIC_XOR || from.mnemonic() == ZYDIS_MNEMONIC_SUB) && from.is_register(0) &&
           from.is_register(1) && from.operands[0].reg.value == from.operands[1].reg.value;
}

}  // namespace

bool build_alu(const Source& from, Decoded& to) {
    Op& op = to.op;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_ADD: op.run = choose_binary<Add>(from, op); break;
        case ZYDIS_MNEMONIC_OR: op.run = choose_binary<Or>(from, op); break;
        case ZYDIS_MNEMONIC_ADC: op.run = choose_binary<Adc>(from, op); break;
        case ZYDIS_MNEMONIC_SBB: op.run = choose_binary<Sbb>(from, op); break;
        case ZYDIS_MNEMONIC_AND: op.run = choose_binary<And>(from, op); break;
        case ZYDIS_MNEMONIC_SUB: op.run = choose_binary<Sub>(from, op); break;
        case ZYDIS_MNEMONIC_XOR: op.run = choose_binary<Xor>(from, op); break;
        case ZYDIS_MNEMONIC_CMP: op.run = choose_binary<Cmp>(from, op); break;
        case ZYDIS_MNEMONIC_TEST: op.run = choose_binary<Test>(from, op); break;
        case ZYDIS_MNEMONIC_INC: op.run = choose_unary<Inc>(from, op); break;
        case ZYDIS_MNEMONIC_DEC: op.run = choose_unary<Dec>(from, op); break;
        case ZYDIS_MNEMONIC_NEG: op.run = choose_unary<Neg>(from, op); break;
        case ZYDIS_MNEMONIC_NOT: op.run = choose_unary<Not>(from, op); break;
        default: return false;
    }
    if (zeroes_register(from)) {
        op.run = for_width(from.size_of(0), [](auto width) -> Handler { return run_zero<decltype(width)>; });
    }
    return true;
}

}  // namespace skep::interp
