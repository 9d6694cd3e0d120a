// SPDX-License-Identifier: GPL-3.0-or-later
// SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2B; SDM 3A, 5.8.7 and 5.8.8).
#include "vmm/interp/far_control.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/x86/descriptor.hpp"
#include "vmm/x86/registers.hpp"

namespace skep::interp {

using namespace x86;

namespace {

constexpr uint32_t k_code_rights = 0x9b, k_data_rights = 0x93;
constexpr uint32_t k_granular = 0x8000, k_big = 0x4000, k_long = 0x2000;

Segment flat_code(uint64_t selector, unsigned cpl, bool long_mode) {
    return {.base = 0,
            .limit = 0xffff'ffff,
            .attributes = k_code_rights | (cpl << 5) | k_granular | (long_mode ? k_long : k_big),
            .selector = static_cast<uint16_t>(selector)};
}

Segment flat_stack(uint64_t selector, unsigned cpl) {
    return {.base = 0,
            .limit = 0xffff'ffff,
            .attributes = k_data_rights | (cpl << 5) | k_granular | k_big,
            .selector = static_cast<uint16_t>(selector)};
}

void enter_flat(Core& core, const Segment& code, const Segment& stack, uint64_t rip) {
    core.segment[k_cs] = code;
    core.segment[k_ss] = stack;
    core.next_rip = rip;
    if (core.code64 && code.long_mode()) {
        update_privilege(core);
    } else {
        update_mode(core);
    }
}

// SYSCALL and SYSRET look at EFLAGS.TF when they are through, not when they begin: a kernel whose IA32_FMASK clears TF is
// not stepped, and the user's trap comes right behind its SYSCALL.
void step_by_new_flags(Core& core) {
    core.step_lost = true;
    if ((core.rflags_rest & x86::k_flag_tf) != 0) {
        core.pending_debug |= k_dr6_bs;
    }
}

}  // namespace

void syscall(Core& core) {
    if ((core.msr.efer & k_efer_sce) == 0 || !core.code64) {
        raise(k_ud);
    }
    const uint64_t rflags = read_rflags(core) & ~x86::k_flag_rf;
    core.gpr[k_rcx] = core.next_rip;
    core.gpr[k_r11] = rflags;
    const uint64_t selector = (core.msr.star >> 32) & 0xfffc;
    enter_flat(core, flat_code(selector, 0, true), flat_stack(selector + 8, 0), core.msr.lstar);
    load_rflags(core, 0, core.msr.sfmask | x86::k_flag_rf);
    step_by_new_flags(core);
}

void sysret(Core& core, unsigned operand_size) {
    if ((core.msr.efer & k_efer_sce) == 0 || !core.code64) {
        raise(k_ud);
    }
    const bool to_64 = operand_size == 8;
    if (core.cpl != 0 || (to_64 && !is_canonical(core.gpr[k_rcx]))) {
        raise(k_gp, 0);
    }
    const uint64_t selector = core.msr.star >> 48;
    const uint64_t rip = to_64 ? core.gpr[k_rcx] : core.gpr[k_rcx] & 0xffff'ffff;
    enter_flat(core, flat_code((selector + (to_64 ? 16 : 0)) | 3, 3, to_64), flat_stack((selector + 8) | 3, 3), rip);
    constexpr uint64_t k_loaded = k_flags_all & ~(x86::k_flag_vm | x86::k_flag_rf);
    load_rflags(core, core.gpr[k_r11] & k_loaded, k_flags_all);
    step_by_new_flags(core);
}

void sysenter(Core& core) {
    const uint64_t selector = core.msr.sysenter_cs & 0xfffc;
    if (!core.protected_mode || selector == 0) {
        raise(k_gp, 0);
    }
    load_rflags(core, 0, x86::k_flag_vm | x86::k_flag_if | x86::k_flag_rf);
    const bool long_mode = core.long_mode_active;
    const uint64_t width = long_mode ? ~uint64_t{0} : 0xffff'ffff;
    core.gpr[k_rsp] = core.msr.sysenter_esp & width;
    enter_flat(core, flat_code(selector, 0, long_mode), flat_stack(selector + 8, 0), core.msr.sysenter_eip & width);
}

void sysexit(Core& core, unsigned operand_size) {
    const uint64_t selector = core.msr.sysenter_cs & 0xffff;
    if (!core.protected_mode || (selector & 0xfffc) == 0 || core.cpl != 0) {
        raise(k_gp, 0);
    }
    const bool to_64 = operand_size == 8;
    if (to_64 && (!is_canonical(core.gpr[k_rcx]) || !is_canonical(core.gpr[k_rdx]))) {
        raise(k_gp, 0);
    }
    const uint64_t width = to_64 ? ~uint64_t{0} : 0xffff'ffff;
    const uint64_t code = (selector + (to_64 ? 32 : 16)) | 3;
    core.gpr[k_rsp] = core.gpr[k_rcx] & width;
    enter_flat(core, flat_code(code, 3, to_64), flat_stack((code + 8) | 3, 3), core.gpr[k_rdx] & width);
}

}  // namespace skep::interp
