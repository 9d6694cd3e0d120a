// SPDX-License-Identifier: GPL-3.0-or-later
// LOCKed forms of the ALU instructions.
#include "vmm/interp/locked.hpp"

#include <mutex>

#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"

namespace skep::interp {
namespace {

std::mutex& split_mutex() {
    static std::mutex mutex;
    return mutex;
}

template <typename Operation, typename T>
void locked_binary(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T), Access::write);
    const T source = (op->extra != 0) ? static_cast<T>(op->immediate) : read_reg<T>(core, op->reg);
    modify_locked<T>(core, linear, op->segment, [&](T* place) {
        Operation::apply_locked(core.status, place, source);
    });
}
template <typename Operation, typename T>
void locked_unary(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t linear = operand_linear(core, *op, sizeof(T), Access::write);
    modify_locked<T>(core, linear, op->segment, [&](T* place) { Operation::apply_locked(core.status, place); });
}

template <typename Operation>
Handler choose_binary(const Source& from, Op& op) {
    op.extra = from.is_immediate(1) ? 1 : 0;
    return for_width(from.size_of(0), [](auto width) -> Handler {
        return run_then_next<locked_binary<Operation, decltype(width)>>;
    });
}
template <typename Operation>
Handler choose_unary(const Source& from) {
    return for_width(from.size_of(0), [](auto width) -> Handler {
        return run_then_next<locked_unary<Operation, decltype(width)>>;
    });
}

}  // namespace

SplitLock::SplitLock() { split_mutex().lock(); }
SplitLock::~SplitLock() { split_mutex().unlock(); }

std::byte* locked_host(Core& core, uint64_t linear, unsigned size, unsigned segment) {
    check_store(core, linear, size, segment);
    if (((linear + size - 1) & ~k_page_mask) != (linear & ~k_page_mask)) {
        return nullptr;
    }
    return resolve(core, linear, Access::write, data_rule(core), nullptr);
}

bool build_locked(const Source& from, Decoded& to) {
    Op& op = to.op;
    if ((op.flags & k_op_lock) == 0) {
        return false;
    }
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_ADD: op.run = choose_binary<Add>(from, op); return true;
        case ZYDIS_MNEMONIC_OR: op.run = choose_binary<Or>(from, op); return true;
        case ZYDIS_MNEMONIC_ADC: op.run = choose_binary<Adc>(from, op); return true;
        case ZYDIS_MNEMONIC_SBB: op.run = choose_binary<Sbb>(from, op); return true;
        case ZYDIS_MNEMONIC_AND: op.run = choose_binary<And>(from, op); return true;
        case ZYDIS_MNEMONIC_SUB: op.run = choose_binary<Sub>(from, op); return true;
        case ZYDIS_MNEMONIC_XOR: op.run = choose_binary<Xor>(from, op); return true;
        case ZYDIS_MNEMONIC_INC: op.run = choose_unary<Inc>(from); return true;
        case ZYDIS_MNEMONIC_DEC: op.run = choose_unary<Dec>(from); return true;
        case ZYDIS_MNEMONIC_NEG: op.run = choose_unary<Neg>(from); return true;
        case ZYDIS_MNEMONIC_NOT: op.run = choose_unary<Not>(from); return true;
        default: return false;
    }
}

}  // namespace skep::interp
