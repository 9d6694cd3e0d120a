// SPDX-License-Identifier: GPL-3.0-or-later
// Atomic read-modify-write of guest memory (SDM 3A, 9.1): the host's own LOCK on the host's memory.
#pragma once

#include "vmm/interp/operands.hpp"

namespace skep::interp {

// Serialises what the host cannot lock for us: operands across two pages and MMIO. One for all vCPUs of the process.
class SplitLock {
  public:
    SplitLock();
    ~SplitLock();
    SplitLock(const SplitLock&) = delete;
    SplitLock& operator=(const SplitLock&) = delete;
};

// The host memory under a locked operand, or null when it crosses a page or is not RAM. Core::rip must be set.
std::byte* locked_host(Core& core, uint64_t linear, unsigned size, unsigned segment);

// atomic(T*) works on RAM with LOCK; the slow way applies it to a copy under the SplitLock.
template <typename T, typename Atomic>
void modify_locked(Core& core, uint64_t linear, unsigned segment, Atomic atomic) {
    if (std::byte* host = host_for_write(core, linear, sizeof(T))) {
        atomic(reinterpret_cast<T*>(host));
        return;
    }
    if (std::byte* host = locked_host(core, linear, sizeof(T), segment)) {
        atomic(reinterpret_cast<T*>(host));
        note_code_write(core, host, sizeof(T));
        return;
    }
    const SplitLock lock;
    alignas(16) T value{};
    check_store(core, linear, sizeof(T), segment);
    load_bytes(core, linear, &value, sizeof(T), segment);
    atomic(&value);
    store_bytes(core, linear, &value, sizeof(T), segment);
}

}  // namespace skep::interp
