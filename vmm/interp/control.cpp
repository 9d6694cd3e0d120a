// SPDX-License-Identifier: GPL-3.0-or-later
// Near JMP, Jcc, CALL, RET, LOOP, JCXZ (SDM 2). Op::immediate holds the way from the block's first byte to a direct
// target, Op::extra that to the following instruction.
#include "vmm/interp/builders.hpp"
#include "vmm/interp/ea.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/x86/descriptor.hpp"

namespace skep::interp {
namespace {

// Outside 64-bit mode a target is cut to the operand size and checked against the code segment; in it, it must be
// canonical. Throws #GP(0) with Core::rip at the jump.
uint64_t checked_target(Core& core, const Op* op, uint64_t target) {
    if (core.code64) {
        if (!x86::is_canonical(target)) [[unlikely]] {
            set_fault_rip(core, op);
            raise(k_gp, 0);
        }
        return target;
    }
    const uint64_t cut = target & address_mask(op->operand_size == 2 ? 2 : 4);
    if (cut > core.segment[k_cs].limit) [[unlikely]] {
        set_fault_rip(core, op);
        raise(k_gp, 0);
    }
    return cut;
}
uint64_t direct_target(const Core& core, const Op* op) { return core.gpr[17] + op->immediate; }
uint64_t following(const Core& core, const Op* op) {
    const uint64_t rip = core.gpr[17] + op->extra;
    return core.code64 ? rip : rip & 0xffff'ffff;
}

// --- 64-bit mode: direct targets need no check but at the canonical edge, where no block is known -----------------------
void check_direct_target(Core& core, const Op* op) {
    if (!x86::is_canonical(core.rip)) [[unlikely]] {
        set_fault_rip(core, op);
        raise(k_gp, 0);
    }
}
void run_jump_long(Core& core, const Op* op) {
    core.rip = direct_target(core, op);
    if (is_next_block_known(core)) [[likely]] {
        SKEP_TAIL_CALL next_block(core, op);
    }
    check_direct_target(core, op);
}
template <unsigned code>
void run_jcc_long(Core& core, const Op* op) {
    const uint64_t way = condition_holds<code>(core.status) ? op->immediate : op->extra;
    core.rip = core.gpr[17] + way;
    if (is_next_block_known(core)) [[likely]] {
        SKEP_TAIL_CALL next_block(core, op);
    }
    if (way == op->immediate) {
        check_direct_target(core, op);
    }
}
// --- any mode --------------------------------------------------------------------------------------------------------------
void run_jump(Core& core, const Op* op) {
    core.rip = checked_target(core, op, direct_target(core, op));
    SKEP_TAIL_CALL next_block(core, op);
}
template <unsigned code>
void run_jcc(Core& core, const Op* op) {
    const uint64_t target =
        condition_holds<code>(core.status) ? checked_target(core, op, direct_target(core, op)) : following(core, op);
    core.rip = target;
    SKEP_TAIL_CALL next_block(core, op);
}
void run_jump_indirect(Core& core, const Op* op) {
    set_fault_rip(core, op);
    core.rip = checked_target(core, op, read_rm_sized(core, *op));
    SKEP_TAIL_CALL next_block(core, op);
}
void run_call(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t target = checked_target(core, op, direct_target(core, op));
    push(core, op->operand_size, following(core, op));
    core.rip = target;
    SKEP_TAIL_CALL next_block(core, op);
}
void run_call_indirect(Core& core, const Op* op) {
    set_fault_rip(core, op);
    const uint64_t target = checked_target(core, op, read_rm_sized(core, *op));
    push(core, op->operand_size, following(core, op));
    core.rip = target;
    SKEP_TAIL_CALL next_block(core, op);
}
uint64_t pop_return(Core& core, const Op* op) {
    set_fault_rip(core, op);
    StackCursor stack(core);
    const uint64_t target = checked_target(core, op, stack.pop(op->operand_size));
    stack.skip(op->immediate);
    stack.commit();
    return target;
}
void run_return(Core& core, const Op* op) {
    core.rip = pop_return(core, op);
    SKEP_TAIL_CALL next_block(core, op);
}

// --- calls and returns of 64-bit mode; a TLB miss goes over to the general handler ------------------------------------------
void run_call_long(Core& core, const Op* op) {
    const uint64_t pointer = core.gpr[k_rsp] - 8;
    std::byte* host = host_for_write(core, pointer, 8);
    if (host == nullptr || !x86::is_canonical(direct_target(core, op))) [[unlikely]] {
        SKEP_TAIL_CALL run_call(core, op);
    }
    store_le<uint64_t>(host, core.gpr[17] + op->extra);
    core.gpr[k_rsp] = pointer;
    core.rip = direct_target(core, op);
    SKEP_TAIL_CALL next_block(core, op);
}
void run_return_long(Core& core, const Op* op) {
    const std::byte* host = host_for_read(core, core.gpr[k_rsp], 8);
    const uint64_t target = host != nullptr ? load_le<uint64_t>(host) : 0;
    if (host == nullptr || !x86::is_canonical(target)) [[unlikely]] {
        SKEP_TAIL_CALL run_return(core, op);
    }
    core.gpr[k_rsp] += 8 + op->immediate;
    core.rip = target;
    SKEP_TAIL_CALL next_block(core, op);
}

// LOOP, LOOPE, LOOPNE and JCXZ count in CX, ECX or RCX by address size.
enum class LoopKind : uint8_t { loop, loope, loopne, jcxz };
template <LoopKind kind>
bool loop_again(Core& core, const Op* op, uint64_t& count) {
    count = read_reg_sized(core, k_rcx * 8, op->address_size);
    if constexpr (kind == LoopKind::jcxz) {
        return count == 0;
    }
    count = (count - 1) & address_mask(op->address_size);
    return count != 0 && (kind == LoopKind::loop || zero_flag(core) == (kind == LoopKind::loope));
}
template <LoopKind kind>
void run_loop(Core& core, const Op* op) {
    uint64_t count = 0;
    const bool again = loop_again<kind>(core, op, count);
    const uint64_t target = again ? checked_target(core, op, direct_target(core, op)) : following(core, op);
    if constexpr (kind != LoopKind::jcxz) {
        write_reg_sized(core, k_rcx * 8, op->address_size, count);
    }
    core.rip = target;
    SKEP_TAIL_CALL next_block(core, op);
}

template <unsigned... codes>
Handler choose_jcc(unsigned wanted, bool is_long, std::integer_sequence<unsigned, codes...>) {
    Handler handler = nullptr;
    ((codes == wanted ? void(handler = is_long ? run_jcc_long<codes> : run_jcc<codes>) : void()), ...);
    return handler;
}

void set_direct_target(const Source& from, Op& op) {
    op.extra = static_cast<uint16_t>(op.offset + op.length);
    op.immediate = static_cast<uint64_t>(from.operands[0].imm.value.s) + op.extra;
}
Handler choose_call_or_jump(const Source& from, Op& op, bool is_long) {
    const bool is_call = from.mnemonic() == ZYDIS_MNEMONIC_CALL;
    op.extra = static_cast<uint16_t>(op.offset + op.length);
    if (!from.is_immediate(0)) {
        return is_call ? run_call_indirect : run_jump_indirect;
    }
    set_direct_target(from, op);
    if (is_call) {
        return is_long ? run_call_long : run_call;
    }
    return is_long ? run_jump_long : run_jump;
}
bool build_loop(const Source& from, Op& op) {
    switch (from.mnemonic()) {
        case ZYDIS_MNEMONIC_LOOP: op.run = run_loop<LoopKind::loop>; break;
        case ZYDIS_MNEMONIC_LOOPE: op.run = run_loop<LoopKind::loope>; break;
        case ZYDIS_MNEMONIC_LOOPNE: op.run = run_loop<LoopKind::loopne>; break;
        case ZYDIS_MNEMONIC_JCXZ:
        case ZYDIS_MNEMONIC_JECXZ:
        case ZYDIS_MNEMONIC_JRCXZ: op.run = run_loop<LoopKind::jcxz>; break;
        default: return false;
    }
    op.address_size = static_cast<uint8_t>(from.instruction.address_width / 8);
    set_direct_target(from, op);
    return true;
}
bool is_jcc(const Source& from) {
    const auto& instruction = from.instruction;
    return instruction.meta.category == ZYDIS_CATEGORY_COND_BR && instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR &&
           instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           ((instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction.opcode & 0xf0) == 0x70) ||
            (instruction.opcode_map == ZYDIS_OPCODE_MAP_0F && (instruction.opcode & 0xf0) == 0x80));
}

}  // namespace

bool build_control(const Source& from, Decoded& to) {
    Op& op = to.op;
    const bool is_long = from.mode.code64;
    op.operand_size = static_cast<uint8_t>(from.instruction.operand_width / 8);
    if (is_jcc(from)) {
        set_direct_target(from, op);
        op.run = choose_jcc(from.instruction.opcode & 0xf, is_long, std::make_integer_sequence<unsigned, 16>{});
    } else if (from.mnemonic() == ZYDIS_MNEMONIC_CALL || from.mnemonic() == ZYDIS_MNEMONIC_JMP) {
        if (from.instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
            return false;
        }
        op.run = choose_call_or_jump(from, op, is_long);
    } else if (from.mnemonic() == ZYDIS_MNEMONIC_RET) {
        if (from.instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
            return false;
        }
        op.immediate = from.is_immediate(0) && from.instruction.operand_count_visible != 0 ? op.immediate & 0xffff : 0;
        op.run = is_long ? run_return_long : run_return;
    } else if (!build_loop(from, op)) {
        return false;
    }
    to.flow = Flow::branch;
    return true;
}

}  // namespace skep::interp
