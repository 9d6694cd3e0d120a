// SPDX-License-Identifier: GPL-3.0-or-later
// The translator as a back end: the interpreter's Vm, whose processors turn hot code into native code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "vmm/cpu/vcpu.hpp"
#include "vmm/jit/tuning.hpp"

namespace skep::jit {

struct JitOptions {
    // Called with a profile of each processor when it goes, by whoever lets it go; empty: none is made. It costs a little.
    std::function<void(const std::string& text)> report{};
    bool perf_map = false;  // writes /tmp/perf-PID.map
    // What tests choose otherwise.
    Tuning tuning{};
    size_t cache_bytes = 0;   // of translated code, a vCPU; 0: by their number. A multiple of 4096.
};

class JitHypervisor final : public Hypervisor {
  public:
    explicit JitHypervisor(JitOptions options = {}) : m_options(std::move(options)) {}
    [[nodiscard]] std::string name() const override { return "jit"; }
    // On a host that cannot translate, its processors interpret.
    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override;

  private:
    JitOptions m_options;
};

}  // namespace skep::jit
