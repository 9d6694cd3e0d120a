// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/hypervisor.hpp"

#include <algorithm>

#include "vmm/interp/vm.hpp"
#include "vmm/jit/translator.hpp"

namespace skep::jit {
namespace {

constexpr size_t k_all_caches = size_t{128} << 20;
constexpr size_t k_largest_cache = size_t{32} << 20;
constexpr size_t k_smallest_cache = size_t{2} << 20;

}  // namespace

Result<std::unique_ptr<Vm>> JitHypervisor::create_vm(GuestMemory& memory, const CpuConfig& config) {
    const size_t usual = std::clamp(k_all_caches / std::max(config.cpu_count, 1U), k_smallest_cache, k_largest_cache);
    const size_t bytes = (m_options.cache_bytes != 0 ? m_options.cache_bytes : usual) & ~size_t{4095};
    const ProfileOptions profile{.report = m_options.report, .perf_map = m_options.perf_map ? PerfMap::create() : nullptr};
    return std::make_unique<interp::InterpVm>(memory, config, [bytes, tuning = m_options.tuning, profile](interp::Core& core) {
        return JitTranslator::create(core, bytes, tuning, profile);
    });
}

}  // namespace skep::jit
