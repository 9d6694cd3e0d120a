// SPDX-License-Identifier: GPL-3.0-or-later
// Segment registers, LDTR and TR, LAR, LSL, VERR, VERW, ARPL, FS and GS bases (SDM 2).
#include <utility>

#include "vmm/interp/flags.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/segments.hpp"
#include "vmm/interp/system_handlers.hpp"
#include "vmm/interp/system_stack.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp::system {

namespace {

// A selector goes to a register in its full width, to memory as 16 bits.
void write_selector(Core& core, const Op& op, uint16_t selector) {
    if ((op.flags & k_op_memory) != 0) {
        write_rm<uint16_t>(core, op, selector);
    } else {
        write_reg_sized(core, op.rm, op.operand_size, selector);
    }
}

// Instructions that know selectors do not exist in real mode and V86.
void require_selectors(const Core& core) {
    if (!core.protected_mode || core.v86) {
        raise(k_ud);
    }
}

void check_umip(const Core& core) {
    if ((core.cr4 & x86::k_cr4_umip) != 0) {
        require_ring0(core);
    }
}

void load_and_shadow(Core& core, SegmentRegister which, uint16_t selector) {
    load_segment(core, which, selector);
    if (which == k_ss) {
        core.shadow_movss = true;
    }
}

}  // namespace

void store_segment(Core& core, const Op& op) { write_selector(core, op, core.segment[op.extra].selector); }

void load_segment_register(Core& core, const Op& op) {
    load_and_shadow(core, static_cast<SegmentRegister>(op.extra), read_rm<uint16_t>(core, op));
}

void push_segment(Core& core, const Op& op) { push(core, op.operand_size, core.segment[op.extra].selector); }

void pop_segment(Core& core, const Op& op) {
    FrameStack stack(core);
    const auto selector = static_cast<uint16_t>(stack.pop(op.operand_size));
    load_and_shadow(core, static_cast<SegmentRegister>(op.extra), selector);
    core.gpr[k_rsp] = stack.merged_into(core.gpr[k_rsp]);
}

void load_far_pointer(Core& core, const Op& op) {
    const unsigned size = op.operand_size;
    const uint64_t linear = operand_linear(core, op, size + 2, Access::read);
    const uint64_t offset = size == 2   ? load<uint16_t>(core, linear, op.segment)
                            : size == 4 ? load<uint32_t>(core, linear, op.segment)
                                        : load<uint64_t>(core, linear, op.segment);
    const auto selector = load<uint16_t>(core, linear + size, op.segment);
    load_segment(core, static_cast<SegmentRegister>(op.extra), selector);
    write_reg_sized(core, op.reg, size, offset);
}

void store_ldt(Core& core, const Op& op) {
    require_selectors(core);
    check_umip(core);
    write_selector(core, op, core.ldtr.selector);
}

void store_task_register(Core& core, const Op& op) {
    require_selectors(core);
    check_umip(core);
    write_selector(core, op, core.tr.selector);
}

void load_ldt_register(Core& core, const Op& op) {
    require_selectors(core);
    require_ring0(core);
    load_ldt(core, read_rm<uint16_t>(core, op));
}

void load_task(Core& core, const Op& op) {
    require_selectors(core);
    require_ring0(core);
    load_task_register(core, read_rm<uint16_t>(core, op));
}

void load_access_rights(Core& core, const Op& op) {
    require_selectors(core);
    const std::optional<uint32_t> rights = access_rights(core, read_rm<uint16_t>(core, op));
    if (rights) {
        write_reg_sized(core, op.reg, op.operand_size, *rights);
    }
    set_zero_flag(core, rights.has_value());
}

void load_limit(Core& core, const Op& op) {
    require_selectors(core);
    const std::optional<uint32_t> limit = segment_limit(core, read_rm<uint16_t>(core, op));
    if (limit) {
        write_reg_sized(core, op.reg, op.operand_size, *limit);
    }
    set_zero_flag(core, limit.has_value());
}

void verify_read(Core& core, const Op& op) {
    require_selectors(core);
    set_zero_flag(core, verify_segment(core, read_rm<uint16_t>(core, op), VerifyFor::read));
}

void verify_write(Core& core, const Op& op) {
    require_selectors(core);
    set_zero_flag(core, verify_segment(core, read_rm<uint16_t>(core, op), VerifyFor::write));
}

void adjust_rpl(Core& core, const Op& op) {
    require_selectors(core);
    const auto selector = read_rm<uint16_t>(core, op);
    const unsigned wanted = read_reg<uint16_t>(core, op.reg) & 3;
    const bool raised = x86::selector_rpl(selector) < wanted;
    if (raised) {
        write_rm<uint16_t>(core, op, static_cast<uint16_t>((selector & ~3U) | wanted));
    }
    set_zero_flag(core, raised);
}

namespace {

void require_fsgsbase(const Core& core) {
    if (!core.code64 || (core.cr4 & x86::k_cr4_fsgsbase) == 0) {
        raise(k_ud);
    }
}

}  // namespace

void read_fs_gs_base(Core& core, const Op& op) {
    require_fsgsbase(core);
    write_reg_sized(core, op.rm, op.operand_size, core.segment[op.extra].base);
}

void write_fs_gs_base(Core& core, const Op& op) {
    require_fsgsbase(core);
    const uint64_t base = read_reg_sized(core, op.rm, op.operand_size);
    if (!x86::is_canonical(base)) {
        raise(k_gp, 0);
    }
    core.segment[op.extra].base = base;
    core.segment_base[op.extra] = base;
}

void swap_gs(Core& core, const Op&) {
    if (!core.code64) {
        raise(k_ud);
    }
    require_ring0(core);
    std::swap(core.segment[k_gs].base, core.msr.kernel_gs_base);
    core.segment_base[k_gs] = core.segment[k_gs].base;
}

}  // namespace skep::interp::system
