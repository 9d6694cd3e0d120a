// SPDX-License-Identifier: GPL-3.0-or-later
// The translator as a back end: the interpreter's Vm, whose processors turn hot code into native code.
#pragma once

#include "vmm/cpu/vcpu.hpp"

namespace skep::jit {

class JitHypervisor final : public Hypervisor {
  public:
    [[nodiscard]] std::string name() const override { return "jit"; }
    // On a host that cannot translate, its processors interpret.
    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override;
};

}  // namespace skep::jit
