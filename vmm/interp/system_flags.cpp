// SPDX-License-Identifier: GPL-3.0-or-later
// CLI, STI, PUSHF, POPF, CLAC, STAC, HLT (SDM 2).
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/operands.hpp"
#include "vmm/interp/system_handlers.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp::system {

namespace {

unsigned iopl(const Core& core) { return (core.rflags_rest >> 12) & 3; }

// CPL 3 in V86: the same comparison serves all modes (CR4.VME and PVI are not offered).
void require_iopl(const Core& core) {
    if (core.protected_mode && core.cpl > iopl(core)) {
        raise(k_gp, 0);
    }
}

void require_iopl_in_v86(const Core& core) {
    if (core.v86 && iopl(core) != 3) {
        raise(k_gp, 0);
    }
}

}  // namespace

void clear_interrupts(Core& core, const Op&) {
    require_iopl(core);
    core.rflags_rest &= ~uint64_t{x86::k_flag_if};
}

void set_interrupts(Core& core, const Op&) {
    require_iopl(core);
    if ((core.rflags_rest & x86::k_flag_if) == 0) {
        core.rflags_rest |= x86::k_flag_if;
        core.shadow_sti = true;
    }
}

void push_flags(Core& core, const Op& op) {
    require_iopl_in_v86(core);
    push(core, op.operand_size, read_rflags(core) & ~(x86::k_flag_vm | x86::k_flag_rf));
}

void pop_flags(Core& core, const Op& op) {
    require_iopl_in_v86(core);
    using namespace x86;
    uint64_t mask = k_flags_arithmetic | x86::k_flag_tf | x86::k_flag_df | x86::k_flag_nt;
    if (op.operand_size != 2) {
        mask |= x86::k_flag_ac | x86::k_flag_id | x86::k_flag_rf;
    }
    if (core.cpl == 0) {
        mask |= x86::k_flag_iopl;
    }
    if (core.cpl <= iopl(core)) {
        mask |= x86::k_flag_if;
    }
    load_rflags(core, pop(core, op.operand_size) & ~x86::k_flag_rf, mask);
}

namespace {

void change_ac(Core& core, uint64_t value) {
    if (core.cpl != 0) {
        raise(k_ud);
    }
    load_rflags(core, value, x86::k_flag_ac);
}

}  // namespace

void clear_ac(Core& core, const Op&) { change_ac(core, 0); }
void set_ac(Core& core, const Op&) { change_ac(core, x86::k_flag_ac); }

void halt(Core& core, const Op&) {
    require_ring0(core);
    core.activity = Activity::halted;
}

}  // namespace skep::interp::system
