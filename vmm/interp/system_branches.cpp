// SPDX-License-Identifier: GPL-3.0-or-later
// Far JMP, CALL, RET, IRET, INT and the fast system calls as handlers: operands in, far_control.hpp does the rest.
#include "vmm/interp/exceptions.hpp"
#include "vmm/interp/far_control.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/system_handlers.hpp"

namespace skep::interp::system {

namespace {

struct FarPointer {
    uint16_t selector;
    uint64_t offset;
};

FarPointer load_pointer(Core& core, const Op& op) {
    const unsigned size = op.operand_size;
    const uint64_t linear = operand_linear(core, op, size + 2, Access::read);
    const uint64_t offset = size == 2   ? load<uint16_t>(core, linear, op.segment)
                            : size == 4 ? load<uint32_t>(core, linear, op.segment)
                                        : load<uint64_t>(core, linear, op.segment);
    return {load<uint16_t>(core, linear + size, op.segment), offset};
}

}  // namespace

void jump_far_direct(Core& core, const Op& op) { far_jump(core, op.extra, op.immediate, op.operand_size); }
void call_far_direct(Core& core, const Op& op) { far_call(core, op.extra, op.immediate, op.operand_size); }

void jump_far_indirect(Core& core, const Op& op) {
    const FarPointer target = load_pointer(core, op);
    far_jump(core, target.selector, target.offset, op.operand_size);
}

void call_far_indirect(Core& core, const Op& op) {
    const FarPointer target = load_pointer(core, op);
    far_call(core, target.selector, target.offset, op.operand_size);
}

void return_far(Core& core, const Op& op) { far_return(core, op.operand_size, static_cast<uint16_t>(op.immediate)); }
void return_from_interrupt(Core& core, const Op& op) { interrupt_return(core, op.operand_size); }

void interrupt_n(Core& core, const Op& op) {
    software_interrupt(core, static_cast<uint8_t>(op.immediate), SoftwareInterrupt::int_n);
}
void interrupt_3(Core& core, const Op&) { software_interrupt(core, k_bp, SoftwareInterrupt::int3); }
void interrupt_1(Core& core, const Op&) { software_interrupt(core, k_db, SoftwareInterrupt::int1); }
void interrupt_on_overflow(Core& core, const Op&) {
    if ((read_rflags(core) & k_flag_of) != 0) {
        software_interrupt(core, k_of, SoftwareInterrupt::into);
    }
}

void enter_by_syscall(Core& core, const Op&) { syscall(core); }
void leave_by_sysret(Core& core, const Op& op) { sysret(core, op.operand_size); }
void enter_by_sysenter(Core& core, const Op&) { sysenter(core); }
void leave_by_sysexit(Core& core, const Op& op) { sysexit(core, op.operand_size); }

}  // namespace skep::interp::system
