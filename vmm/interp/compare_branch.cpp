// SPDX-License-Identifier: GPL-3.0-or-later
// CMP or TEST of registers together with the Jcc behind it: one dispatch for two instructions (SDM 2A, 2B). Neither can
// fault, so no state between them is ever seen; single steps run blocks of one instruction, which are never fused.
#include <utility>

#include "vmm/interp/alu_operations.hpp"
#include "vmm/interp/builders.hpp"
#include "vmm/interp/dispatch.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/long_jump.hpp"

namespace skep::interp {
namespace {

enum class Second : uint8_t { from_register, immediate };

template <typename Operation, typename T, Second second, unsigned code>
void run_compare_jump(Core& core, const Op* op) {
    const T b = second == Second::immediate ? static_cast<T>(op->immediate) : read_reg<T>(core, op->reg);
    Operation::apply(core.status, read_reg<T>(core, op->rm), b);
    jump_if<code>(core, op + 1);
    SKEP_TAIL_CALL next_block(core, op + 1);
}

template <typename Operation, typename T, Second second, unsigned... codes>
Handler choose_condition(unsigned wanted, std::integer_sequence<unsigned, codes...>) {
    static constexpr Handler k_handlers[] = {run_compare_jump<Operation, T, second, codes>...};
    return k_handlers[wanted];
}

template <typename Operation>
Handler choose(const Decoded& compare, unsigned condition) {
    constexpr std::make_integer_sequence<unsigned, 16> k_codes;
    return for_width(compare.op.operand_size, [&](auto width) -> Handler {
        using T = decltype(width);
        return compare.immediate ? choose_condition<Operation, T, Second::immediate>(condition, k_codes)
                                 : choose_condition<Operation, T, Second::from_register>(condition, k_codes);
    });
}

}  // namespace

void fuse_branch(Decoded& compare, const Decoded& branch) {
    if (branch.fusible != Fusible::long_jump) {
        return;
    }
    if (compare.fusible == Fusible::compare) {
        compare.op.run = choose<Cmp>(compare, branch.condition);
    } else if (compare.fusible == Fusible::test) {
        compare.op.run = choose<Test>(compare, branch.condition);
    }
}

}  // namespace skep::interp
