// SPDX-License-Identifier: GPL-3.0-or-later
// Flag instructions, NOPs and hints, fences, IN and OUT, BOUND, RDRAND and RDSEED, UD (SDM 2).
#include "vmm/interp/breakpoints.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/segments.hpp"
#include "vmm/interp/vm.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::interp {
namespace {

void run_nothing(Core& core, const Op* op) { SKEP_TAIL_CALL next(core, op); }
void run_undefined(Core& core, const Op* op) {
    set_fault_rip(core, op);
    raise(k_ud);
}
void fence(Core&, const Op*) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

void clear_carry(Core& core, const Op*) { set_carry_flag(core, false); }
void set_carry(Core& core, const Op*) { set_carry_flag(core, true); }
void complement_carry(Core& core, const Op*) { core.status ^= k_status_cf; }
void clear_direction(Core& core, const Op*) { core.rflags_rest &= ~uint64_t{k_flag_df}; }
void set_direction(Core& core, const Op*) { core.rflags_rest |= k_flag_df; }
void set_al_from_carry(Core& core, const Op*) { write_reg<uint8_t>(core, k_rax * 8, carry_flag(core) ? 0xff : 0); }

// extra: 1 when the port is an immediate.
uint16_t port_of(const Core& core, const Op& op) {
    return op.extra != 0 ? static_cast<uint8_t>(op.immediate) : read_reg<uint16_t>(core, k_rdx * 8);
}
void port_in(Core& core, const Op& op) {
    const uint16_t port = port_of(core, op);
    check_io_permission(core, port, op.operand_size);
    note_port_access(core, port, op.operand_size);
    write_reg_sized(core, k_rax * 8, op.operand_size, core.io->port_read(port, op.operand_size));
}
void port_out(Core& core, const Op& op) {
    const uint16_t port = port_of(core, op);
    check_io_permission(core, port, op.operand_size);
    note_port_access(core, port, op.operand_size);
    core.io->port_write(port, op.operand_size,
                        static_cast<uint32_t>(read_reg_sized(core, k_rax * 8, op.operand_size)));
}

template <typename T>
void check_bounds(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T) * 2, Access::read);
    const T index = static_cast<T>(read_reg<T>(core, op->reg));
    const T lower = load<T>(core, linear, op->segment);
    const T upper = load<T>(core, linear + sizeof(T), op->segment);
    if (index < lower || index > upper) {
        raise(k_br);
    }
}

// CF says whether the number is good; the other flags are cleared.
template <typename T, bool seed>
void random_number(Core& core, const Op* op) {
    T value{};
    bool good = false;
    if constexpr (seed) {
        asm volatile("rdseed %[v]\n\tsetc %[g]" : [v] "=r"(value), [g] "=qm"(good) : : "cc");
    } else {
        asm volatile("rdrand %[v]\n\tsetc %[g]" : [v] "=r"(value), [g] "=qm"(good) : : "cc");
    }
    good = core.vm->witnessed(core, HostNumber::random, good ? 1 : 0) != 0;
    value = static_cast<T>(core.vm->witnessed(core, HostNumber::random, value));
    write_reg<T>(core, op->rm, good ? value : T{0});
    write_arithmetic_flags(core, good ? uint64_t{k_flag_cf} : 0);
}
template <bool seed>
Handler choose_random(const Source& from) {
    return for_wide_width(from.size_of(0),
                          [](auto w) -> Handler { return run_then_next<random_number<decltype(w), seed>>; });
}

bool build_port(const Source& from, Decoded& to) {
    const bool is_in = from.mnemonic() == ZYDIS_MNEMONIC_IN;
    if (!is_in && from.mnemonic() != ZYDIS_MNEMONIC_OUT) {
        return false;
    }
    const unsigned accumulator = is_in ? 0 : 1;
    to.op.operand_size = static_cast<uint8_t>(from.size_of(accumulator));
    to.op.extra = from.is_immediate(1 - accumulator) ? 1 : 0;
    set_plain(to, is_in ? port_in : port_out);
    return true;
}

bool does_nothing(const Source& from) {
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_NOP:
        case ZYDIS_MNEMONIC_ENDBR32:
        case ZYDIS_MNEMONIC_ENDBR64:
        case ZYDIS_MNEMONIC_PAUSE:
        case ZYDIS_MNEMONIC_PREFETCH:
        case ZYDIS_MNEMONIC_PREFETCHNTA:
        case ZYDIS_MNEMONIC_PREFETCHT0:
        case ZYDIS_MNEMONIC_PREFETCHT1:
        case ZYDIS_MNEMONIC_PREFETCHT2:
        case ZYDIS_MNEMONIC_PREFETCHW:
        case ZYDIS_MNEMONIC_PREFETCHWT1:
        case ZYDIS_MNEMONIC_LFENCE:
        case ZYDIS_MNEMONIC_SFENCE: return true;
        default: return false;
    }
}

// CLFLUSH and its kin are loads as far as faults go.
void flush_line(Core& core, const Op* op) {
    set_fault_rip(core, op);
    load<uint8_t>(core, operand_linear(core, *op, 1, Access::read), op->segment);
}

}  // namespace

bool build_various(const Source& from, Decoded& to) {
    Op& op = to.op;
    if (does_nothing(from)) {
        op.run = run_nothing;
        return true;
    }
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_CLC: op.run = run_then_next<clear_carry>; return true;
        case ZYDIS_MNEMONIC_STC: op.run = run_then_next<set_carry>; return true;
        case ZYDIS_MNEMONIC_CMC: op.run = run_then_next<complement_carry>; return true;
        case ZYDIS_MNEMONIC_CLD: op.run = run_then_next<clear_direction>; return true;
        case ZYDIS_MNEMONIC_STD: op.run = run_then_next<set_direction>; return true;
        case ZYDIS_MNEMONIC_SALC: op.run = run_then_next<set_al_from_carry>; return true;
        case ZYDIS_MNEMONIC_MFENCE: op.run = run_then_next<fence>; return true;
        case ZYDIS_MNEMONIC_CLFLUSH:
        case ZYDIS_MNEMONIC_CLFLUSHOPT:
        case ZYDIS_MNEMONIC_CLWB: op.run = run_then_next<flush_line>; return true;
        case ZYDIS_MNEMONIC_BOUND:
            op.run = from.instruction.operand_width == 16 ? run_then_next<check_bounds<int16_t>>
                                                          : run_then_next<check_bounds<int32_t>>;
            return true;
        case ZYDIS_MNEMONIC_RDRAND:
            op.rm = register_offset(from, 0);
            op.run = choose_random<false>(from);
            return x86::host_vector_features().rdrand;
        case ZYDIS_MNEMONIC_RDSEED:
            op.rm = register_offset(from, 0);
            op.run = choose_random<true>(from);
            return x86::host_vector_features().rdseed;
        case ZYDIS_MNEMONIC_UD0:
        case ZYDIS_MNEMONIC_UD1:
        case ZYDIS_MNEMONIC_UD2:
            op.run = run_undefined;
            to.flow = Flow::branch;
            return true;
        default: return build_port(from, to);
    }
}

}  // namespace skep::interp
