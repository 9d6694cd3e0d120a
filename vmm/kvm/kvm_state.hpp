// SPDX-License-Identifier: GPL-3.0-or-later
// CpuState to and from KVM's register ioctls.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/cpu/cpu_state.hpp"

namespace skep::kvm {

// vcpu: the processor's descriptor, not running. activity is the caller's matter.
Status save_state(int vcpu, CpuState& state);
Status load_state(int vcpu, const CpuState& state);
// IA32_APIC_BASE as the kernel knows it.
Status set_apic_base(int vcpu, uint64_t value);

}  // namespace skep::kvm
