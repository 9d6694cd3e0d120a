// SPDX-License-Identifier: GPL-3.0-or-later
// What a guest that knows KVM is given on this processor: kvmclock and the few hypercalls that need no more
// (vmm/x86/pvclock.hpp has the interface).
//
// The system time is the VM's TSC in nanoseconds, so the same two numbers hold on every processor and for ever; a page is
// written again only when its processor's TSC is moved by the guest, after a load, and after a pause.
#pragma once

#include <cstdint>

#include "vmm/interp/core.hpp"
#include "vmm/interp/op.hpp"

namespace skep::interp {

// Is this one of the MSRs of the clock? Both numbers of a pair count.
[[nodiscard]] bool is_clock_msr(uint32_t index);
[[nodiscard]] uint64_t read_clock_msr(const Core& core, uint32_t index);
// An address that is not RAM is kept and nothing is written, as KVM does. Own thread.
void write_clock_msr(Core& core, uint32_t index, uint64_t value);

enum class ClockNews : uint8_t {
    moved,    // this processor's TSC was set
    stopped,  // all processors stood still for a while
};
// Writes the page that the guest asked for, if it did. Own thread, or while no vCPU runs.
void refresh_clock_page(Core& core, ClockNews news);

namespace system {
// VMCALL, VMMCALL: KVM_HC_CLOCK_PAIRING is answered, others are "not implemented" (a real processor without a hypervisor
// would raise #UD, but the signature says KVM, so drivers call without asking).
void hypercall(Core& core, const Op& op);
}  // namespace system

}  // namespace skep::interp
