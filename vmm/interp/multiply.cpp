// SPDX-License-Identifier: GPL-3.0-or-later
// MUL IMUL DIV IDIV MULX (SDM 2). A multiplication makes SF, ZF, AF and PF undefined: some processors leave them as they
// were, so the host's instruction finds the guest's there. Division leaves all flags, which it makes undefined, alone.
#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {
namespace {

// A type twice as wide.
template <typename T>
struct DoubleOf;
template <>
struct DoubleOf<uint8_t> {
    using Unsigned = uint16_t;
    using Signed = int16_t;
};
template <>
struct DoubleOf<uint16_t> {
    using Unsigned = uint32_t;
    using Signed = int32_t;
};
template <>
struct DoubleOf<uint32_t> {
    using Unsigned = uint64_t;
    using Signed = int64_t;
};
template <>
struct DoubleOf<uint64_t> {
    __extension__ using Unsigned = unsigned __int128;
    __extension__ using Signed = __int128;
};

// AX, or the pair DX:AX, EDX:EAX, RDX:RAX.
template <typename T>
void write_pair(Core& core, T low, T high) {
    if constexpr (sizeof(T) == 1) {
        write_reg<uint16_t>(core, k_rax * 8, static_cast<uint16_t>(low | high << 8));
    } else {
        write_reg<T>(core, k_rax * 8, low);
        write_reg<T>(core, k_rdx * 8, high);
    }
}
template <typename T>
typename DoubleOf<T>::Unsigned read_pair(const Core& core) {
    using Wide = typename DoubleOf<T>::Unsigned;
    if constexpr (sizeof(T) == 1) {
        return read_reg<uint16_t>(core, k_rax * 8);
    } else {
        return static_cast<Wide>(static_cast<Wide>(read_reg<T>(core, k_rdx * 8)) << (sizeof(T) * 8)) |
               read_reg<T>(core, k_rax * 8);
    }
}

// The accumulator times `factor`: the product's halves in `low` (of bytes: all of it) and `high`.
#define SKEP_MULTIPLICATION(Name, mnemonic)                                                                  \
    struct Name {                                                                                            \
        template <typename T>                                                                                \
        static void apply(uint16_t& status, uint64_t& low, uint64_t& high, T factor) {                       \
            asm(SKEP_LOAD_FLAGS "mov %[l], %%rax\n\t" mnemonic " %[f]\n\tmov %%rax, %[l]" SKEP_SAVE_FLAGS     \
                : "+&a"(status), [l] "+&r"(low), "=&d"(high) : [f] "r"(factor) : "cc");                      \
        }                                                                                                    \
    }
SKEP_MULTIPLICATION(Mul, "mul");
SKEP_MULTIPLICATION(Imul, "imul");
#undef SKEP_MULTIPLICATION

template <typename Operation, typename T>
void multiply(Core& core, const Op* op) {
    set_fault_rip(core, op);
    uint64_t low = read_reg<T>(core, k_rax * 8), high = 0;
    const T factor = read_rm<T>(core, *op);
    Operation::apply(core.status, low, high, factor);
    if constexpr (sizeof(T) == 1) {
        write_reg<uint16_t>(core, k_rax * 8, static_cast<uint16_t>(low));
    } else {
        write_pair<T>(core, static_cast<T>(low), static_cast<T>(high));
    }
}
// IMUL r, r/m and IMUL r, r/m, imm.
template <typename T>
T multiply_truncated(uint16_t& status, T a, T b) {
    asm(SKEP_LOAD_FLAGS "imul %[b], %[a]" SKEP_SAVE_FLAGS : [a] "+&r"(a), "+&a"(status) : [b] "r"(b) : "cc");
    return a;
}
template <typename T>
void multiply_two(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T source = read_rm<T>(core, *op);
    write_reg<T>(core, op->reg, multiply_truncated<T>(core.status, read_reg<T>(core, op->reg), source));
}
template <typename T>
void multiply_three(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T source = read_rm<T>(core, *op);
    write_reg<T>(core, op->reg, multiply_truncated<T>(core.status, source, static_cast<T>(op->immediate)));
}

template <typename T>
void divide_unsigned(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T divisor = read_rm<T>(core, *op);
    const auto dividend = read_pair<T>(core);
    if (divisor == 0 || static_cast<T>(dividend >> (sizeof(T) * 8)) >= divisor) {
        raise(k_de);
    }
    if constexpr (sizeof(T) == 8) {
        // The quotient fits, so the host's own instruction is safe and faster than a 128-bit division in software.
        T quotient = static_cast<T>(dividend);
        T remainder = static_cast<T>(dividend >> 64);
        asm("div %[d]" : "+a"(quotient), "+d"(remainder) : [d] "r"(divisor) : "cc");
        write_pair<T>(core, quotient, remainder);
    } else {
        write_pair<T>(core, static_cast<T>(dividend / divisor), static_cast<T>(dividend % divisor));
    }
}
template <typename T>
void divide_signed(Core& core, const Op* op) {
    set_fault_rip(core, op);
    using Signed = std::make_signed_t<T>;
    using Wide = typename DoubleOf<T>::Signed;
    const auto divisor = static_cast<Signed>(read_rm<T>(core, *op));
    const auto unsigned_dividend = read_pair<T>(core);
    const auto dividend = static_cast<Wide>(unsigned_dividend);
    using UnsignedWide = typename DoubleOf<T>::Unsigned;
    constexpr auto k_least = static_cast<Wide>(UnsignedWide{1} << (sizeof(T) * 16 - 1));
    if (divisor == 0 || (dividend == k_least && divisor == -1)) {
        raise(k_de);
    }
    const auto quotient = static_cast<Wide>(dividend / divisor);
    if (quotient != static_cast<Wide>(static_cast<Signed>(quotient))) {
        raise(k_de);
    }
    write_pair<T>(core, static_cast<T>(quotient), static_cast<T>(dividend % divisor));
}

template <typename T>
void multiply_without_flags(Core& core, const Op* op) {
    set_fault_rip(core, op);
    using Wide = typename DoubleOf<T>::Unsigned;
    const Wide product = static_cast<Wide>(read_reg<T>(core, k_rdx * 8)) * read_rm<T>(core, *op);
    write_reg<T>(core, static_cast<RegisterOffset>(op->extra2), static_cast<T>(product));
    write_reg<T>(core, op->reg, static_cast<T>(product >> (sizeof(T) * 8)));  // the high half wins if both are one
}

Handler choose_imul(const Source& from, Op& op) {
    const unsigned count = from.instruction.operand_count_visible;
    if (count == 1) {
        return for_width(from.size_of(0), [](auto w) -> Handler { return run_then_next<multiply<Imul, decltype(w)>>; });
    }
    op.reg = register_offset(from, 0);
    if (count == 3) {
        return for_wide_width(from.size_of(0),
                              [](auto w) -> Handler { return run_then_next<multiply_three<decltype(w)>>; });
    }
    return for_wide_width(from.size_of(0), [](auto w) -> Handler { return run_then_next<multiply_two<decltype(w)>>; });
}

}  // namespace

bool build_multiply(const Source& from, Decoded& to) {
    Op& op = to.op;
    const unsigned size = from.size_of(0);
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_MUL:
            op.run = for_width(size, [](auto w) -> Handler { return run_then_next<multiply<Mul, decltype(w)>>; });
            return true;
        case ZYDIS_MNEMONIC_IMUL: op.run = choose_imul(from, op); return true;
        case ZYDIS_MNEMONIC_DIV:
            op.run = for_width(size, [](auto w) -> Handler { return run_then_next<divide_unsigned<decltype(w)>>; });
            return true;
        case ZYDIS_MNEMONIC_IDIV:
            op.run = for_width(size, [](auto w) -> Handler { return run_then_next<divide_signed<decltype(w)>>; });
            return true;
        case ZYDIS_MNEMONIC_MULX:
            if (!x86::host_vector_features().bmi2) {
                return false;
            }
            op.extra2 = register_offset(from, 1);
            op.run = size == 8 ? run_then_next<multiply_without_flags<uint64_t>>
                               : run_then_next<multiply_without_flags<uint32_t>>;
            return true;
        default: return false;
    }
}

}  // namespace skep::interp
