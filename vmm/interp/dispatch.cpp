// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/dispatch.hpp"

namespace skep::interp {
namespace {

uint64_t rip_mask(const Core& core) { return core.code64 ? ~uint64_t{0} : 0xffff'ffff; }

void call_plain(Core& core, const Op* op) {
    core.rip = core.gpr[17] + op->offset;
    core.next_rip = (core.rip + op->length) & rip_mask(core);
    op->plain(core, *op);
}

}  // namespace

void run_plain(Core& core, const Op* op) {
    call_plain(core, op);
    // A plain handler may have called a device, which wants an answer before the next instruction.
    if (core.requests.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        core.rip = core.next_rip;
        return;
    }
    SKEP_TAIL_CALL next(core, op);
}

void run_plain_last(Core& core, const Op* op) {
    call_plain(core, op);
    core.rip = core.next_rip;
}

void run_fall_through(Core& core, const Op* op) {
    core.rip = (core.gpr[17] + op->offset) & rip_mask(core);
    SKEP_TAIL_CALL next_block(core, op);
}

void run_stale(Core& core, const Op* op) { core.rip = (core.gpr[17] + op->offset) & rip_mask(core); }

}  // namespace skep::interp
