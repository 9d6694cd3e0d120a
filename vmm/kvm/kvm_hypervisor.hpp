// SPDX-License-Identifier: GPL-3.0-or-later
// The KVM back end. Interrupt controllers stay in user space (devices/board), so that every back end runs the
// same ones. Source: Linux Documentation/virt/kvm/api.rst. This room alone includes linux/kvm.h.
#pragma once

#include <memory>

#include "vmm/base/result.hpp"
#include "vmm/cpu/vcpu.hpp"

namespace skep {

// Opens /dev/kvm and checks for the capabilities used. Fails with permission, not_found or unsupported and a
// sentence that says what to do. Whether real hardware stands behind the device is for the host check to say.
Result<std::unique_ptr<Hypervisor>> open_kvm();

}  // namespace skep
