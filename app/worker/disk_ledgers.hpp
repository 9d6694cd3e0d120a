// SPDX-License-Identifier: GPL-3.0-or-later
// What the disks of a running machine use, looked at now and then on a thread of its own: the control loop does not wait
// for the host's disks.
#pragma once

#include <chrono>
#include <future>
#include <vector>

#include "app/worker/machine_builder.hpp"
#include "devices/formats/guest_use.hpp"

namespace skep {

// One thread. The disks outlive it.
class DiskLedgers {
  public:
    // By disk, in their order; as they were at most some seconds ago. Empty: nothing is known yet.
    [[nodiscard]] const std::vector<DiskLedger>& now(const std::vector<BuiltDisk>& disks);
    // Afterwards nobody reads the disks. What is known is forgotten.
    void settle();

  private:
    std::future<std::vector<DiskLedger>> m_looking;
    std::vector<DiskLedger> m_known;
    std::chrono::steady_clock::time_point m_looked_at;
};

}  // namespace skep
