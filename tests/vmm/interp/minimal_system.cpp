// SPDX-License-Identifier: GPL-3.0-or-later
// The least of the system half that integer tests need: modes, HLT, and faults that stop the processor.
#include <Zydis/Zydis.h>

#include "vmm/interp/decode.hpp"
#include "vmm/interp/exceptions.hpp"
#include "vmm/interp/flags.hpp"
#include "vmm/interp/mmu.hpp"
#include "vmm/interp/mode.hpp"
#include "vmm/interp/segments.hpp"
#include "vmm/interp/system_ops.hpp"

namespace skep::interp {

void update_mode(Core& core) {
    core.protected_mode = (core.cr0 & 1) != 0;
    core.long_mode_active = (core.msr.efer & 0x400) != 0;
    core.cpl = 0;
    core.code64 = core.long_mode_active && core.segment[k_cs].long_mode();
    core.code32 = !core.code64 && core.segment[k_cs].default_big();
    core.stack64 = core.code64;
    core.stack32 = !core.code64 && core.segment[k_ss].default_big();
    for (unsigned i = 0; i < 6; ++i) {
        core.segment_base[i] = core.code64 && i != k_fs && i != k_gs ? 0 : core.segment[i].base;
    }
    core.tlb = core.tlb_sets[data_rule(core)].data();
    refresh_decode_mode(core);
}
void state_loaded(Core& core) {
    flush_tlb(core);
    update_mode(core);
}
void deliver_exception(Core& core, const Fault&) { core.activity = Activity::shutdown; }
bool poll_events(Core& core, bool) {
    core.interrupt_maybe = false;
    return false;
}
bool needs_single_steps(const Core& core) { return (core.rflags_rest & k_flag_tf) != 0; }
void check_io_permission(Core&, uint16_t, unsigned) {}

namespace {
void halt(Core& core, const Op&) { core.activity = Activity::halted; }
}  // namespace
bool build_system_op(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand*, const DecodeMode&, Op&,
                     PlainHandler& handler, bool& ends_block) {
    handler = halt;
    ends_block = true;
    return instruction.mnemonic == ZYDIS_MNEMONIC_HLT;
}

}  // namespace skep::interp
