// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/system_ops.hpp"

#include <Zydis/Zydis.h>

#include "vmm/interp/decode.hpp"
#include "vmm/interp/paravirtual.hpp"
#include "vmm/interp/system_handlers.hpp"

namespace skep::interp {
namespace {

using Instruction = ZydisDecodedInstruction;
using Operand = ZydisDecodedOperand;

struct Choice {
    PlainHandler handler = nullptr;
    bool ends_block = false;
};
constexpr Choice inside(PlainHandler handler) { return {handler, false}; }
constexpr Choice last(PlainHandler handler) { return {handler, true}; }

bool is_register_of(const Operand& operand, ZydisRegisterClass wanted) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(operand.reg.value) == wanted;
}

uint16_t number_of(const Operand& operand) { return static_cast<uint16_t>(ZydisRegisterGetId(operand.reg.value)); }

bool is_far(const Instruction& instruction) { return instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR; }

// MOV with a control, debug or segment register on one side.
Choice choose_move(const Instruction& instruction, const Operand* operands, Op& op) {
    const Operand& to = operands[0];
    const Operand& from = operands[1];
    if (is_register_of(to, ZYDIS_REGCLASS_CONTROL)) {
        op.extra = number_of(to);
        return last(system::write_control_register);
    }
    if (is_register_of(from, ZYDIS_REGCLASS_CONTROL)) {
        op.extra = number_of(from);
        return inside(system::read_control_register);
    }
    if (is_register_of(to, ZYDIS_REGCLASS_DEBUG)) {
        op.extra = number_of(to);
        return last(system::write_debug_register);
    }
    if (is_register_of(from, ZYDIS_REGCLASS_DEBUG)) {
        op.extra = number_of(from);
        return inside(system::read_debug_register);
    }
    if (is_register_of(to, ZYDIS_REGCLASS_SEGMENT)) {
        op.extra = number_of(to);
        return op.extra == k_cs ? Choice{} : last(system::load_segment_register);
    }
    if (is_register_of(from, ZYDIS_REGCLASS_SEGMENT)) {
        op.extra = number_of(from);
        op.operand_size = static_cast<uint8_t>(instruction.operand_width / 8);
        return inside(system::store_segment);
    }
    return {};
}

Choice choose_push_pop(const Instruction& instruction, const Operand* operands, const DecodeMode& mode, Op& op) {
    if (!is_register_of(operands[0], ZYDIS_REGCLASS_SEGMENT)) {
        return {};
    }
    op.extra = number_of(operands[0]);
    op.operand_size = static_cast<uint8_t>(instruction.operand_width / 8);
    if (mode.code64 && op.operand_size == 4) {
        op.operand_size = 8;
    }
    return instruction.mnemonic == ZYDIS_MNEMONIC_PUSH ? inside(system::push_segment) : last(system::pop_segment);
}

Choice choose_far(const Instruction& instruction, const Operand* operands, Op& op) {
    if (!is_far(instruction)) {
        return {};
    }
    op.operand_size = static_cast<uint8_t>(instruction.operand_width / 8);
    const bool indirect = operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_JMP: return last(indirect ? system::jump_far_indirect : system::jump_far_direct);
        case ZYDIS_MNEMONIC_CALL: return last(indirect ? system::call_far_indirect : system::call_far_direct);
        default:
            if (operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
                op.immediate = 0;
            }
            return last(system::return_far);
    }
}

Choice with_segment(Op& op, const Instruction& instruction, SegmentRegister which) {
    op.extra = which;
    op.operand_size = static_cast<uint8_t>(instruction.operand_width / 8);
    return last(system::load_far_pointer);
}

Choice sized(Op& op, unsigned size, Choice choice) {
    op.operand_size = static_cast<uint8_t>(size);
    return choice;
}

Choice with_base_of(Op& op, SegmentRegister which, Choice choice) {
    op.extra = which;
    return choice;
}

// Instructions about descriptors and segments.
Choice choose_segment_op(const Instruction& instruction, Op& op) {
    const unsigned width = instruction.operand_width / 8;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_LDS: return with_segment(op, instruction, k_ds);
        case ZYDIS_MNEMONIC_LES: return with_segment(op, instruction, k_es);
        case ZYDIS_MNEMONIC_LFS: return with_segment(op, instruction, k_fs);
        case ZYDIS_MNEMONIC_LGS: return with_segment(op, instruction, k_gs);
        case ZYDIS_MNEMONIC_LSS: return with_segment(op, instruction, k_ss);
        case ZYDIS_MNEMONIC_LGDT: return sized(op, width, last(system::load_gdt));
        case ZYDIS_MNEMONIC_LIDT: return sized(op, width, last(system::load_idt));
        case ZYDIS_MNEMONIC_SGDT: return inside(system::store_gdt);
        case ZYDIS_MNEMONIC_SIDT: return inside(system::store_idt);
        case ZYDIS_MNEMONIC_SLDT: return sized(op, width, inside(system::store_ldt));
        case ZYDIS_MNEMONIC_STR: return sized(op, width, inside(system::store_task_register));
        case ZYDIS_MNEMONIC_LLDT: return last(system::load_ldt_register);
        case ZYDIS_MNEMONIC_LTR: return last(system::load_task);
        case ZYDIS_MNEMONIC_LAR: return sized(op, width, inside(system::load_access_rights));
        case ZYDIS_MNEMONIC_LSL: return sized(op, width, inside(system::load_limit));
        case ZYDIS_MNEMONIC_VERR: return inside(system::verify_read);
        case ZYDIS_MNEMONIC_VERW: return inside(system::verify_write);
        case ZYDIS_MNEMONIC_ARPL: return inside(system::adjust_rpl);
        case ZYDIS_MNEMONIC_RDFSBASE: return with_base_of(op, k_fs, inside(system::read_fs_gs_base));
        case ZYDIS_MNEMONIC_RDGSBASE: return with_base_of(op, k_gs, inside(system::read_fs_gs_base));
        case ZYDIS_MNEMONIC_WRFSBASE: return with_base_of(op, k_fs, inside(system::write_fs_gs_base));
        case ZYDIS_MNEMONIC_WRGSBASE: return with_base_of(op, k_gs, inside(system::write_fs_gs_base));
        case ZYDIS_MNEMONIC_SWAPGS: return inside(system::swap_gs);
        default: return {};
    }
}

Choice choose_control_op(const Instruction& instruction, Op& op) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_SMSW: return sized(op, instruction.operand_width / 8, inside(system::store_machine_status));
        case ZYDIS_MNEMONIC_LMSW: return last(system::load_machine_status);
        case ZYDIS_MNEMONIC_CLTS: return last(system::clear_task_switched);
        case ZYDIS_MNEMONIC_INVLPG: return last(system::invalidate_page);
        case ZYDIS_MNEMONIC_INVPCID: return last(system::invalidate_pcid);
        case ZYDIS_MNEMONIC_WBINVD:
        case ZYDIS_MNEMONIC_INVD: return inside(system::write_back_caches);
        case ZYDIS_MNEMONIC_RDMSR: return inside(system::read_msr);
        case ZYDIS_MNEMONIC_WRMSR: return last(system::write_msr);
        case ZYDIS_MNEMONIC_RDTSC: return inside(system::read_tsc);
        case ZYDIS_MNEMONIC_RDTSCP: return inside(system::read_tsc_and_aux);
        case ZYDIS_MNEMONIC_RDPID: return inside(system::read_aux);
        case ZYDIS_MNEMONIC_RDPMC: return inside(system::read_performance_counter);
        case ZYDIS_MNEMONIC_CPUID: return inside(system::processor_id);
        case ZYDIS_MNEMONIC_XGETBV: return inside(system::get_xcr);
        case ZYDIS_MNEMONIC_XSETBV: return last(system::set_xcr);
        case ZYDIS_MNEMONIC_VMCALL:
        case ZYDIS_MNEMONIC_VMMCALL: return last(system::hypercall);
        case ZYDIS_MNEMONIC_HLT: return last(system::halt);
        case ZYDIS_MNEMONIC_CLI: return inside(system::clear_interrupts);
        case ZYDIS_MNEMONIC_STI: return last(system::set_interrupts);
        case ZYDIS_MNEMONIC_PUSHF: return sized(op, 2, inside(system::push_flags));
        case ZYDIS_MNEMONIC_PUSHFD: return sized(op, 4, inside(system::push_flags));
        case ZYDIS_MNEMONIC_PUSHFQ: return sized(op, 8, inside(system::push_flags));
        case ZYDIS_MNEMONIC_POPF: return sized(op, 2, last(system::pop_flags));
        case ZYDIS_MNEMONIC_POPFD: return sized(op, 4, last(system::pop_flags));
        case ZYDIS_MNEMONIC_POPFQ: return sized(op, 8, last(system::pop_flags));
        case ZYDIS_MNEMONIC_CLAC: return last(system::clear_ac);
        case ZYDIS_MNEMONIC_STAC: return last(system::set_ac);
        default: return {};
    }
}

Choice choose_branch(const Instruction& instruction, Op& op) {
    const bool wide = (instruction.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 && instruction.raw.rex.W != 0;
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_IRET: return sized(op, 2, last(system::return_from_interrupt));
        case ZYDIS_MNEMONIC_IRETD: return sized(op, 4, last(system::return_from_interrupt));
        case ZYDIS_MNEMONIC_IRETQ: return sized(op, 8, last(system::return_from_interrupt));
        case ZYDIS_MNEMONIC_INT: return last(system::interrupt_n);
        case ZYDIS_MNEMONIC_INT3: return last(system::interrupt_3);
        case ZYDIS_MNEMONIC_INT1: return last(system::interrupt_1);
        case ZYDIS_MNEMONIC_INTO: return last(system::interrupt_on_overflow);
        case ZYDIS_MNEMONIC_SYSCALL: return last(system::enter_by_syscall);
        case ZYDIS_MNEMONIC_SYSRET: return sized(op, wide ? 8 : 4, last(system::leave_by_sysret));
        case ZYDIS_MNEMONIC_SYSENTER: return last(system::enter_by_sysenter);
        case ZYDIS_MNEMONIC_SYSEXIT: return sized(op, wide ? 8 : 4, last(system::leave_by_sysexit));
        default: return {};
    }
}

Choice choose(const Instruction& instruction, const Operand* operands, const DecodeMode& mode, Op& op) {
    switch (instruction.mnemonic) {
        case ZYDIS_MNEMONIC_MOV: return choose_move(instruction, operands, op);
        case ZYDIS_MNEMONIC_PUSH:
        case ZYDIS_MNEMONIC_POP: return choose_push_pop(instruction, operands, mode, op);
        case ZYDIS_MNEMONIC_JMP:
        case ZYDIS_MNEMONIC_CALL:
        case ZYDIS_MNEMONIC_RET: return choose_far(instruction, operands, op);
        default: break;
    }
    if (const Choice choice = choose_segment_op(instruction, op); choice.handler != nullptr) {
        return choice;
    }
    if (const Choice choice = choose_control_op(instruction, op); choice.handler != nullptr) {
        return choice;
    }
    return choose_branch(instruction, op);
}

}  // namespace

bool build_system_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands,
                     const DecodeMode& mode, Op& op, PlainHandler& handler, bool& ends_block) {
    const Choice choice = choose(instruction, operands, mode, op);
    handler = choice.handler;
    ends_block = choice.ends_block;
    return handler != nullptr;
}

}  // namespace skep::interp
