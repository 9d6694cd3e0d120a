// SPDX-License-Identifier: GPL-3.0-or-later
// SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and RORX SARX SHLX SHRX of BMI2 (SDM 2).
#include <bit>

#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {
namespace {

template <typename T>
constexpr uint8_t count_mask() { return sizeof(T) == 8 ? 63 : 31; }

enum class Count : uint8_t { immediate, cl };
template <typename T, Count where>
uint8_t shift_count(const Core& core, const Op* op) {
    const auto raw = where == Count::cl ? read_reg<uint8_t>(core, k_rcx * 8) : static_cast<uint8_t>(op->immediate);
    return raw & count_mask<T>();
}

template <typename Operation, typename T, Count where>
void run_shift_register(Core& core, const Op* op) {
    const uint8_t count = shift_count<T, where>(core, op);
    T value = read_reg<T>(core, op->rm);
    if (count != 0) {
        value = Operation::apply(core.status, value, count);
    }
    write_reg<T>(core, op->rm, value);  // even by 0: a 32-bit destination clears its upper half
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation, typename T, Count where>
void run_shift_memory(Core& core, const Op* op) {
    const uint64_t linear = EaAny::linear(core, op, sizeof(T), Access::write);
    const uint8_t count = shift_count<T, where>(core, op);
    modify<T>(core, op, linear, [&](T old) { return count != 0 ? Operation::apply(core.status, old, count) : old; });
    SKEP_TAIL_CALL next(core, op);
}
template <typename Operation>
Handler choose_shift(const Source& from, Op& op) {
    const bool by_cl = from.is_register(1);
    if (!by_cl && !from.is_immediate(1)) {
        op.immediate = 1;
    }
    return for_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        if (from.is_memory(0)) {
            return by_cl ? run_shift_memory<Operation, T, Count::cl> : run_shift_memory<Operation, T, Count::immediate>;
        }
        op.rm = register_offset(from, 0);
        return by_cl ? run_shift_register<Operation, T, Count::cl> : run_shift_register<Operation, T, Count::immediate>;
    });
}

template <typename Operation, typename T, Count where>
void double_shift(Core& core, const Op* op) {
    const uint8_t count = shift_count<T, where>(core, op);
    const T source = read_reg<T>(core, op->reg);
    const auto shifted = [&](T old) { return count != 0 ? Operation::apply(core.status, old, source, count) : old; };
    if ((op->flags & k_op_memory) != 0) {
        modify<T>(core, op, EaAny::linear(core, op, sizeof(T), Access::write), shifted);
    } else {
        write_reg<T>(core, op->rm, shifted(read_reg<T>(core, op->rm)));
    }
}
template <typename Operation>
Handler choose_double_shift(const Source& from) {
    return for_wide_width(from.size_of(0), [&](auto width) -> Handler {
        using T = decltype(width);
        return from.is_register(2) ? run_then_next<double_shift<Operation, T, Count::cl>>
                                   : run_then_next<double_shift<Operation, T, Count::immediate>>;
    });
}

// --- BMI2: no flags; the count is a register (extra2) or, for RORX, an immediate ----------------------------------------
enum class Bmi2 : uint8_t { rorx, sarx, shlx, shrx };
template <Bmi2 kind, typename T>
void shift_without_flags(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T value = read_rm<T>(core, *op);
    const auto count = static_cast<unsigned>(
        (kind == Bmi2::rorx ? op->immediate : read_reg<T>(core, static_cast<RegisterOffset>(op->extra2))) &
        count_mask<T>());
    T result{};
    if constexpr (kind == Bmi2::rorx) {
        result = std::rotr(value, static_cast<int>(count));
    } else if constexpr (kind == Bmi2::sarx) {
        result = static_cast<T>(static_cast<std::make_signed_t<T>>(value) >> count);
    } else if constexpr (kind == Bmi2::shlx) {
        result = value << count;
    } else {
        result = value >> count;
    }
    write_reg<T>(core, op->reg, result);
}
template <Bmi2 kind>
bool build_bmi2(const Source& from, Op& op) {
    if (!x86::host_vector_features().bmi2) {
        return false;
    }
    op.extra2 = kind == Bmi2::rorx ? 0 : register_offset(from, 2);
    op.run = from.size_of(0) == 8 ? run_then_next<shift_without_flags<kind, uint64_t>>
                                  : run_then_next<shift_without_flags<kind, uint32_t>>;
    return true;
}

}  // namespace

bool build_shift(const Source& from, Decoded& to) {
    Op& op = to.op;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_SHL: op.run = choose_shift<Shl>(from, op); return true;
        case ZYDIS_MNEMONIC_SHR: op.run = choose_shift<Shr>(from, op); return true;
        case ZYDIS_MNEMONIC_SAR: op.run = choose_shift<Sar>(from, op); return true;
        case ZYDIS_MNEMONIC_ROL: op.run = choose_shift<Rol>(from, op); return true;
        case ZYDIS_MNEMONIC_ROR: op.run = choose_shift<Ror>(from, op); return true;
        case ZYDIS_MNEMONIC_RCL: op.run = choose_shift<Rcl>(from, op); return true;
        case ZYDIS_MNEMONIC_RCR: op.run = choose_shift<Rcr>(from, op); return true;
        case ZYDIS_MNEMONIC_SHLD: op.run = choose_double_shift<Shld>(from); return true;
        case ZYDIS_MNEMONIC_SHRD: op.run = choose_double_shift<Shrd>(from); return true;
        case ZYDIS_MNEMONIC_RORX: return build_bmi2<Bmi2::rorx>(from, op);
        case ZYDIS_MNEMONIC_SARX: return build_bmi2<Bmi2::sarx>(from, op);
        case ZYDIS_MNEMONIC_SHLX: return build_bmi2<Bmi2::shlx>(from, op);
        case ZYDIS_MNEMONIC_SHRX: return build_bmi2<Bmi2::shrx>(from, op);
        default: return false;
    }
}

}  // namespace skep::interp
