// SPDX-License-Identifier: GPL-3.0-or-later
// PUSH POP PUSHA POPA ENTER LEAVE of general registers, memory and immediates (SDM 2). RSP changes last.
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"

namespace skep::interp {
namespace {

// --- every mode and size -------------------------------------------------------------------------------------------------
void push_register(Core& core, const Op* op) {
    set_fault_rip(core, op);
    push(core, op->operand_size, read_reg<uint64_t>(core, op->reg));
}
void push_immediate(Core& core, const Op* op) {
    set_fault_rip(core, op);
    push(core, op->operand_size, op->immediate);
}
void push_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    push(core, op->operand_size, read_rm_sized(core, *op));
}
void pop_register(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t value = pop(core, op->operand_size);
    write_reg_sized(core, op->reg, op->operand_size, value);
}
// The address of POP m is computed with RSP already incremented.
void pop_memory(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t old_pointer = core.gpr[k_rsp];
    StackCursor stack(core);
    const uint64_t value = stack.pop(op->operand_size);
    stack.commit();
    try {
        write_rm_sized(core, *op, value);
    } catch (const Fault&) {
        core.gpr[k_rsp] = old_pointer;
        throw;
    }
}

void push_all(Core& core, const Op* op) {
    set_fault_rip(core, op);
    StackCursor stack(core);
    for (unsigned i = k_rax; i <= k_rdi; ++i) {
        stack.push(op->operand_size, core.gpr[i]);  // RSP: its value before the instruction
    }
    stack.commit();
}
void pop_all(Core& core, const Op* op) {
    set_fault_rip(core, op);
    StackCursor stack(core);
    std::array<uint64_t, 8> values{};
    for (unsigned i = 8; i-- > 0;) {
        values[i] = stack.pop(op->operand_size);
    }
    stack.commit();
    for (unsigned i = 0; i < 8; ++i) {
        if (i != k_rsp) {
            write_reg_sized(core, static_cast<RegisterOffset>(i * 8), op->operand_size, values[i]);
        }
    }
}

void enter_frame(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const unsigned size = op->operand_size;
    const unsigned level = op->extra % 32;
    const uint64_t mask = stack_mask(core);
    StackCursor stack(core);
    stack.push(size, core.gpr[k_rbp]);
    const uint64_t frame = stack.pointer();
    for (unsigned i = 1; i < level; ++i) {
        const uint64_t outer = (core.gpr[k_rbp] - uint64_t{i} * size) & mask;
        const uint64_t linear = segment_linear(core, k_ss, outer, size, Access::read);
        stack.push(size, size == 8 ? load<uint64_t>(core, linear, k_ss) : size == 4 ? load<uint32_t>(core, linear, k_ss)
                                                                                     : load<uint16_t>(core, linear, k_ss));
    }
    if (level != 0) {
        stack.push(size, frame);
    }
    stack.skip(0 - (op->immediate & 0xffff));
    // The new top of the stack must be writable (SDM 2, ENTER).
    check_store(core, segment_linear(core, k_ss, stack.pointer(), size, Access::write), size, k_ss);
    stack.commit();
    write_reg_sized(core, k_rbp * 8, size, frame);
}
void leave_frame(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t old_pointer = core.gpr[k_rsp];
    set_stack_pointer(core, core.gpr[k_rbp]);
    try {
        write_reg_sized(core, k_rbp * 8, op->operand_size, pop(core, op->operand_size));
    } catch (const Fault&) {
        core.gpr[k_rsp] = old_pointer;
        throw;
    }
}

// --- the usual case: 64-bit mode, 8 bytes; a TLB miss goes over to the general handler --------------------------------------
struct EaPush {
    static uint64_t linear(Core& core, const Op*, unsigned, Access) { return core.gpr[k_rsp] - 8; }
};
struct EaStackTop {
    static uint64_t linear(Core& core, const Op*, unsigned, Access) { return core.gpr[k_rsp]; }
};
struct EaFrame {
    static uint64_t linear(Core& core, const Op*, unsigned, Access) { return core.gpr[k_rbp]; }
};
void run_push_register_long(Core& core, const Op* op) {
    std::byte* host = fast_write<uint64_t, EaPush>(core, op);
    if (host == nullptr) [[unlikely]] {
        SKEP_TAIL_CALL run_missed<uint64_t, EaPush, Access::write, run_then_next<push_register>>(core, op);
    }
    store_le<uint64_t>(host, read_reg<uint64_t>(core, op->reg));
    core.gpr[k_rsp] -= 8;
    SKEP_TAIL_CALL next(core, op);
}
void run_push_immediate_long(Core& core, const Op* op) {
    std::byte* host = fast_write<uint64_t, EaPush>(core, op);
    if (host == nullptr) [[unlikely]] {
        SKEP_TAIL_CALL run_missed<uint64_t, EaPush, Access::write, run_then_next<push_immediate>>(core, op);
    }
    store_le<uint64_t>(host, op->immediate);
    core.gpr[k_rsp] -= 8;
    SKEP_TAIL_CALL next(core, op);
}
void run_pop_register_long(Core& core, const Op* op) {
    const std::byte* host = fast_read<uint64_t, EaStackTop>(core, op);
    if (host == nullptr) [[unlikely]] {
        SKEP_TAIL_CALL run_missed<uint64_t, EaStackTop, Access::read, run_then_next<pop_register>>(core, op);
    }
    core.gpr[k_rsp] += 8;
    write_reg<uint64_t>(core, op->reg, load_le<uint64_t>(host));  // POP RSP: the value popped stays
    SKEP_TAIL_CALL next(core, op);
}
void run_leave_long(Core& core, const Op* op) {
    const std::byte* host = fast_read<uint64_t, EaFrame>(core, op);
    if (host == nullptr) [[unlikely]] {
        SKEP_TAIL_CALL run_missed<uint64_t, EaFrame, Access::read, run_then_next<leave_frame>>(core, op);
    }
    core.gpr[k_rsp] = core.gpr[k_rbp] + 8;
    core.gpr[k_rbp] = load_le<uint64_t>(host);
    SKEP_TAIL_CALL next(core, op);
}

Handler choose_push(const Source& from, Op& op, bool is_long) {
    op.operand_size = static_cast<uint8_t>(from.instruction.operand_width / 8);
    if (from.is_immediate(0)) {
        return is_long ? run_push_immediate_long : run_then_next<push_immediate>;
    }
    if (from.is_memory(0)) {
        return run_then_next<push_memory>;
    }
    op.reg = register_offset(from, 0);
    return is_long ? run_push_register_long : run_then_next<push_register>;
}
Handler choose_pop(const Source& from, Op& op, bool is_long) {
    op.operand_size = static_cast<uint8_t>(from.instruction.operand_width / 8);
    if (from.is_memory(0)) {
        return run_then_next<pop_memory>;
    }
    op.reg = register_offset(from, 0);
    return is_long ? run_pop_register_long : run_then_next<pop_register>;
}
bool is_segment_register(const Source& from) {
    return from.is_register(0) && ZydisRegisterGetClass(from.operands[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

}  // namespace

bool build_stack(const Source& from, Decoded& to) {
    Op& op = to.op;
    const bool is_long = from.mode.code64 && from.instruction.operand_width == 64;
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_PUSH:
        case ZYDIS_MNEMONIC_POP:
            if (is_segment_register(from)) {
                return false;
            }
            op.run = from.mnemonic() == ZYDIS_MNEMONIC_PUSH ? choose_push(from, op, is_long)
                                                            : choose_pop(from, op, is_long);
            return true;
        case ZYDIS_MNEMONIC_PUSHA:
        case ZYDIS_MNEMONIC_PUSHAD:
            op.operand_size = from.mnemonic() == ZYDIS_MNEMONIC_PUSHA ? 2 : 4;
            op.run = run_then_next<push_all>;
            return true;
        case ZYDIS_MNEMONIC_POPA:
        case ZYDIS_MNEMONIC_POPAD:
            op.operand_size = from.mnemonic() == ZYDIS_MNEMONIC_POPA ? 2 : 4;
            op.run = run_then_next<pop_all>;
            return true;
        case ZYDIS_MNEMONIC_ENTER:
            op.operand_size = static_cast<uint8_t>(from.instruction.operand_width / 8);
            op.immediate = from.operands[0].imm.value.u;
            op.extra = static_cast<uint16_t>(from.operands[1].imm.value.u);
            op.run = run_then_next<enter_frame>;
            return true;
        case ZYDIS_MNEMONIC_LEAVE:
            op.operand_size = static_cast<uint8_t>(from.instruction.operand_width / 8);
            op.run = is_long ? run_leave_long : run_then_next<leave_frame>;
            return true;
        default: return false;
    }
}

}  // namespace skep::interp
