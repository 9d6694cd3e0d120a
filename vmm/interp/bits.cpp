// SPDX-License-Identifier: GPL-3.0-or-later
// BT BTS BTR BTC BSF BSR POPCNT LZCNT TZCNT CRC32, BMI1, the flagless ones of BMI2, ADCX ADOX (SDM 2).
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/locked.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {
namespace {

enum class BitChange : uint8_t { none, set, reset, complement };

template <BitChange change, typename T>
T changed_bit(T value, T mask) {
    switch (change) {
        case BitChange::set: return value | mask;
        case BitChange::reset: return value & static_cast<T>(~mask);
        case BitChange::complement: return value ^ mask;
        default: return value;
    }
}
template <typename T>
T bit_mask(uint64_t index) { return static_cast<T>(T{1} << (index % (sizeof(T) * 8))); }

// extra: 1 when the bit index is the immediate.
template <BitChange change, typename T>
void test_bit_register(Core& core, const Op* op) {
    const uint64_t index = op->extra != 0 ? op->immediate : read_reg<T>(core, op->reg);
    const T value = read_reg<T>(core, op->rm);
    const T mask = bit_mask<T>(index);
    set_carry_flag(core, (value & mask) != 0);
    if constexpr (change != BitChange::none) {
        write_reg<T>(core, op->rm, changed_bit<change, T>(value, mask));
    }
}
// A register index reaches outside the operand: it is a signed bit offset from its start (SDM 1, 3.1.1.9).
template <typename T>
uint64_t bit_operand_linear(Core& core, const Op* op, uint64_t& index, Access access) {
    uint64_t offset = effective_address(core, *op);
    if (op->extra == 0) {
        const auto signed_index = static_cast<int64_t>(static_cast<std::make_signed_t<T>>(read_reg<T>(core, op->reg)));
        index = static_cast<uint64_t>(signed_index);
        constexpr int k_shift = sizeof(T) == 8 ? 6 : sizeof(T) == 4 ? 5 : 4;
        offset += static_cast<uint64_t>((signed_index >> k_shift) * static_cast<int64_t>(sizeof(T)));
        offset &= address_mask(op->address_size);
    } else {
        index = op->immediate;
    }
    return segment_linear(core, op->segment, offset, sizeof(T), access);
}
template <BitChange change, typename T>
void test_bit_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    uint64_t index = 0;
    if constexpr (change == BitChange::none) {
        const uint64_t linear = bit_operand_linear<T>(core, op, index, Access::read);
        set_carry_flag(core, (load<T>(core, linear, op->segment) & bit_mask<T>(index)) != 0);
    } else {
        const uint64_t linear = bit_operand_linear<T>(core, op, index, Access::write);
        const T mask = bit_mask<T>(index);
        T old{};
        if ((op->flags & k_op_lock) == 0) {
            modify<T>(core, op, linear, [&](T value) { return changed_bit<change, T>(old = value, mask); });
        } else {
            modify_locked<T>(core, linear, op->segment, [&](T* place) {
                if constexpr (change == BitChange::set) {
                    old = __atomic_fetch_or(place, mask, __ATOMIC_SEQ_CST);
                } else if constexpr (change == BitChange::reset) {
                    old = __atomic_fetch_and(place, static_cast<T>(~mask), __ATOMIC_SEQ_CST);
                } else {
                    old = __atomic_fetch_xor(place, mask, __ATOMIC_SEQ_CST);
                }
            });
        }
        set_carry_flag(core, (old & mask) != 0);
    }
}
template <BitChange change>
Handler choose_bit_test(const Source& from, Op& op) {
    op.extra = from.is_immediate(1) ? 1 : 0;
    return for_wide_width(from.size_of(0), [&](auto w) -> Handler {
        using T = decltype(w);
        return from.is_memory(0) ? run_then_next<test_bit_memory<change, T>>
                                 : run_then_next<test_bit_register<change, T>>;
    });
}

// --- searches and counts: source r/m, destination reg --------------------------------------------------------------------
// The host's instruction, its flags kept.
#define SKEP_COUNT_OPERATION(name, mnemonic)                                                                  \
    struct name {                                                                                             \
        template <typename T>                                                                                 \
        static T apply(uint16_t& status, T source, T old) {                                                   \
            uint16_t flags = status;                                                                          \
            asm("add $0x7f, %%al\n\tsahf\n\t" mnemonic " %[s], %[d]\n\tlahf\n\tseto %%al"                     \
                : [d] "+&r"(old), "+&a"(flags) : [s] "r"(source) : "cc");                                     \
            status = flags;                                                                                   \
            return old;                                                                                       \
        }                                                                                                     \
    }
SKEP_COUNT_OPERATION(Bsf, "bsf");
SKEP_COUNT_OPERATION(Bsr, "bsr");
SKEP_COUNT_OPERATION(Popcnt, "popcnt");
SKEP_COUNT_OPERATION(Lzcnt, "lzcnt");
SKEP_COUNT_OPERATION(Tzcnt, "tzcnt");
#undef SKEP_COUNT_OPERATION

template <typename Operation, typename T>
void count_bits(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T source = read_rm<T>(core, *op);
    const T result = Operation::apply(core.status, source, read_reg<T>(core, op->reg));
    write_reg<T>(core, op->reg, result);
}
// A search that finds nothing leaves the whole destination register alone.
template <typename Operation, typename T>
void search_bits(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T source = read_rm<T>(core, *op);
    const T result = Operation::apply(core.status, source, read_reg<T>(core, op->reg));
    if (source != 0) {
        write_reg<T>(core, op->reg, result);
    }
}
template <typename Operation>
Handler choose_count(const Source& from) {
    return for_wide_width(from.size_of(0),
                          [](auto w) -> Handler { return run_then_next<count_bits<Operation, decltype(w)>>; });
}
template <typename Operation>
Handler choose_search(const Source& from) {
    return for_wide_width(from.size_of(0),
                          [](auto w) -> Handler { return run_then_next<search_bits<Operation, decltype(w)>>; });
}

// CRC32 r32/r64, r/m8..64: the Castagnoli polynomial.
template <typename T>
void checksum(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T source = read_rm<T>(core, *op);
    uint64_t value = static_cast<uint32_t>(core.gpr[op->reg / 8]);
    if constexpr (sizeof(T) == 8) {
        asm("crc32q %[s], %[v]" : [v] "+r"(value) : [s] "r"(source));
    } else {
        auto narrow = static_cast<uint32_t>(value);
        asm("crc32 %[s], %[v]" : [v] "+r"(narrow) : [s] "r"(source));
        value = narrow;
    }
    core.gpr[op->reg / 8] = static_cast<uint32_t>(value);
}

// --- BMI with three operands: each is the host's instruction ---------------------------------------------------------------
// `reg` destination; the r/m operand and the VEX.vvvv one (extra2) in AT&T order.
#define SKEP_BMI_OPERATION(name, text)                                                                        \
    struct name {                                                                                             \
        template <typename T>                                                                                 \
        static T apply(uint16_t& status, T rm, T vvvv) {                                                      \
            uint16_t flags = status;                                                                          \
            T result{};                                                                                       \
            asm("add $0x7f, %%al\n\tsahf\n\t" text "\n\tlahf\n\tseto %%al"                                    \
                : [d] "=&r"(result), "+&a"(flags) : [rm] "r"(rm), [v] "r"(vvvv) : "cc");                      \
            status = flags;                                                                                   \
            return result;                                                                                    \
        }                                                                                                     \
    }
SKEP_BMI_OPERATION(Andn, "andn %[rm], %[v], %[d]");
SKEP_BMI_OPERATION(Bextr, "bextr %[v], %[rm], %[d]");
SKEP_BMI_OPERATION(Bzhi, "bzhi %[v], %[rm], %[d]");
SKEP_BMI_OPERATION(Pdep, "pdep %[rm], %[v], %[d]");
SKEP_BMI_OPERATION(Pext, "pext %[rm], %[v], %[d]");
SKEP_BMI_OPERATION(Blsi, "blsi %[rm], %[d]");
SKEP_BMI_OPERATION(Blsr, "blsr %[rm], %[d]");
SKEP_BMI_OPERATION(Blsmsk, "blsmsk %[rm], %[d]");
// Two operands: the destination (given as vvvv) is added to.
SKEP_BMI_OPERATION(Adcx, "mov %[v], %[d]\n\tadcx %[rm], %[d]");
SKEP_BMI_OPERATION(Adox, "mov %[v], %[d]\n\tadox %[rm], %[d]");
#undef SKEP_BMI_OPERATION

template <typename Operation, typename T>
void bmi(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const T rm = read_rm<T>(core, *op);
    const T vvvv = read_reg<T>(core, static_cast<RegisterOffset>(op->extra2));
    write_reg<T>(core, static_cast<RegisterOffset>(op->extra), Operation::apply(core.status, rm, vvvv));
}
// destination, vvvv: which explicit operands they are.
template <typename Operation>
bool build_bmi(const Source& from, Op& op, bool available, unsigned vvvv) {
    if (!available) {
        return false;
    }
    op.extra = register_offset(from, 0);
    op.extra2 = register_offset(from, vvvv);
    op.run = from.size_of(0) == 8 ? run_then_next<bmi<Operation, uint64_t>> : run_then_next<bmi<Operation, uint32_t>>;
    return true;
}

bool build_bmi_instruction(const Source& from, Op& op) {
    const x86::HostVectorFeatures& host = x86::host_vector_features();
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_ANDN: return build_bmi<Andn>(from, op, host.bmi1, 1);
        case ZYDIS_MNEMONIC_BEXTR: return build_bmi<Bextr>(from, op, host.bmi1, 2);
        case ZYDIS_MNEMONIC_BLSI: return build_bmi<Blsi>(from, op, host.bmi1, 0);
        case ZYDIS_MNEMONIC_BLSR: return build_bmi<Blsr>(from, op, host.bmi1, 0);
        case ZYDIS_MNEMONIC_BLSMSK: return build_bmi<Blsmsk>(from, op, host.bmi1, 0);
        case ZYDIS_MNEMONIC_BZHI: return build_bmi<Bzhi>(from, op, host.bmi2, 2);
        case ZYDIS_MNEMONIC_PDEP: return build_bmi<Pdep>(from, op, host.bmi2, 1);
        case ZYDIS_MNEMONIC_PEXT: return build_bmi<Pext>(from, op, host.bmi2, 1);
        case ZYDIS_MNEMONIC_ADCX: return build_bmi<Adcx>(from, op, host.adx, 0);
        case ZYDIS_MNEMONIC_ADOX: return build_bmi<Adox>(from, op, host.adx, 0);
        default: return false;
    }
}

}  // namespace

bool build_bits(const Source& from, Decoded& to) {
    Op& op = to.op;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_BT: op.run = choose_bit_test<BitChange::none>(from, op); return true;
        case ZYDIS_MNEMONIC_BTS: op.run = choose_bit_test<BitChange::set>(from, op); return true;
        case ZYDIS_MNEMONIC_BTR: op.run = choose_bit_test<BitChange::reset>(from, op); return true;
        case ZYDIS_MNEMONIC_BTC: op.run = choose_bit_test<BitChange::complement>(from, op); return true;
        case ZYDIS_MNEMONIC_BSF: op.run = choose_search<Bsf>(from); return true;
        case ZYDIS_MNEMONIC_BSR: op.run = choose_search<Bsr>(from); return true;
        // Without the feature the host runs LZCNT and TZCNT as BSR and BSF, which is what the guest would see too.
        case ZYDIS_MNEMONIC_LZCNT: op.run = choose_count<Lzcnt>(from); return true;
        case ZYDIS_MNEMONIC_TZCNT: op.run = choose_count<Tzcnt>(from); return true;
        case ZYDIS_MNEMONIC_POPCNT:
            op.run = choose_count<Popcnt>(from);
            return x86::host_vector_features().popcnt;
        case ZYDIS_MNEMONIC_CRC32:
            op.run = for_width(from.size_of(1), [](auto w) -> Handler { return run_then_next<checksum<decltype(w)>>; });
            return x86::host_vector_features().sse4_2;
        default: return build_bmi_instruction(from, op);
    }
}

}  // namespace skep::interp
