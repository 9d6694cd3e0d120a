// SPDX-License-Identifier: GPL-3.0-or-later
// XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B (SDM 2). Memory forms of XCHG lock by themselves.
#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/locked.hpp"

namespace skep::interp {
namespace {

template <typename T>
void exchange_registers(Core& core, const Op* op) {
    const T first = read_reg<T>(core, op->rm);
    write_reg<T>(core, op->rm, read_reg<T>(core, op->reg));
    write_reg<T>(core, op->reg, first);
}
template <typename T>
void exchange_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T), Access::write);
    T value = read_reg<T>(core, op->reg);
    modify_locked<T>(core, linear, op->segment,
                     [&](T* place) { value = __atomic_exchange_n(place, value, __ATOMIC_SEQ_CST); });
    write_reg<T>(core, op->reg, value);
}

template <typename T>
void add_exchange_registers(Core& core, const Op* op) {
    const T first = read_reg<T>(core, op->rm);
    const T sum = Add::apply(core.status, first, read_reg<T>(core, op->reg));
    write_reg<T>(core, op->reg, first);
    write_reg<T>(core, op->rm, sum);
}
template <typename T>
void add_exchange_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T), Access::write);
    const T source = read_reg<T>(core, op->reg);
    T old{};
    modify_locked<T>(core, linear, op->segment,
                     [&](T* place) { old = __atomic_fetch_add(place, source, __ATOMIC_SEQ_CST); });
    Add::apply(core.status, old, source);
    write_reg<T>(core, op->reg, old);
}

template <typename T>
void compare_exchange_registers(Core& core, const Op* op) {
    const T accumulator = read_reg<T>(core, k_rax * 8);
    const T destination = read_reg<T>(core, op->rm);
    Cmp::apply(core.status, accumulator, destination);
    if (accumulator == destination) {
        write_reg<T>(core, op->rm, read_reg<T>(core, op->reg));
    } else {
        write_reg<T>(core, k_rax * 8, destination);
    }
}
template <typename T>
void compare_exchange_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T), Access::write);
    const T accumulator = read_reg<T>(core, k_rax * 8);
    const T source = read_reg<T>(core, op->reg);
    T seen = accumulator;
    modify_locked<T>(core, linear, op->segment, [&](T* place) {
        __atomic_compare_exchange_n(place, &seen, source, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    });
    Cmp::apply(core.status, accumulator, seen);
    if (seen != accumulator) {
        write_reg<T>(core, k_rax * 8, seen);
    }
}

// EDX:EAX against 8 bytes, or RDX:RAX against 16 (which must be aligned).
void compare_exchange_8_bytes(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, 8, Access::write);
    const auto pair = [&](unsigned high, unsigned low) { return (core.gpr[high] << 32) | static_cast<uint32_t>(core.gpr[low]); };
    const uint64_t expected = pair(k_rdx, k_rax);
    uint64_t seen = expected;
    modify_locked<uint64_t>(core, linear, op->segment, [&](uint64_t* place) {
        __atomic_compare_exchange_n(place, &seen, pair(k_rcx, k_rbx), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    });
    set_zero_flag(core, seen == expected);
    if (seen != expected) {
        core.gpr[k_rax] = static_cast<uint32_t>(seen);
        core.gpr[k_rdx] = seen >> 32;
    }
}
struct alignas(16) Pair {
    uint64_t low, high;
};
void compare_exchange_16_bytes(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, 16, Access::write);
    if (linear % 16 != 0) {
        raise(k_gp, 0);
    }
    uint64_t low = core.gpr[k_rax];
    uint64_t high = core.gpr[k_rdx];
    bool equal = false;
    modify_locked<Pair>(core, linear, op->segment, [&](Pair* place) {
        asm volatile("lock cmpxchg16b %[place]\n\tsete %[equal]"
                     : [place] "+m"(*place), "+a"(low), "+d"(high), [equal] "=q"(equal)
                     : "b"(core.gpr[k_rbx]), "c"(core.gpr[k_rcx])
                     : "cc", "memory");
    });
    set_zero_flag(core, equal);
    if (!equal) {
        core.gpr[k_rax] = low;
        core.gpr[k_rdx] = high;
    }
}

}  // namespace

bool build_exchange(const Source& from, Decoded& to) {
    Op& op = to.op;
    const bool memory = (op.flags & k_op_memory) != 0;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_XCHG:
            if (memory) {
                op.reg = register_offset(from, from.is_memory(0) ? 1 : 0);
            } else {
                op.rm = register_offset(from, 0);
                op.reg = register_offset(from, 1);
            }
            op.run = for_width(from.size_of(0), [&](auto w) -> Handler {
                using T = decltype(w);
                return memory ? run_then_next<exchange_memory<T>> : run_then_next<exchange_registers<T>>;
            });
            return true;
        case ZYDIS_MNEMONIC_XADD:
            op.run = for_width(from.size_of(0), [&](auto w) -> Handler {
                using T = decltype(w);
                return memory ? run_then_next<add_exchange_memory<T>> : run_then_next<add_exchange_registers<T>>;
            });
            return true;
        case ZYDIS_MNEMONIC_CMPXCHG:
            op.run = for_width(from.size_of(0), [&](auto w) -> Handler {
                using T = decltype(w);
                return memory ? run_then_next<compare_exchange_memory<T>>
                              : run_then_next<compare_exchange_registers<T>>;
            });
            return true;
        case ZYDIS_MNEMONIC_CMPXCHG8B: op.run = run_then_next<compare_exchange_8_bytes>; return true;
        case ZYDIS_MNEMONIC_CMPXCHG16B: op.run = run_then_next<compare_exchange_16_bytes>; return true;
        default: return false;
    }
}

}  // namespace skep::interp
