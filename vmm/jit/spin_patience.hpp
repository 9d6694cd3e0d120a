// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's processor that executes PAUSE over and over (SDM 2, PAUSE: "in spin-wait loops") waits for another one, which the
// host may not be running: then the wait lasts as long as the host's scheduler likes, and takes a host processor away from
// those who could end it. Hardware leaves the guest in such a loop (SDM 3C, 25.1.3, "PAUSE-loop exiting"); here the
// processor's thread sleeps for a moment.
#pragma once

#include <chrono>
#include <cstdint>

namespace skep::jit {

// One vCPU's, on its thread.
class SpinPatience {
  public:
    // So many PAUSEs at a time; some 50 to 100 microseconds of a loop around one.
    static constexpr uint32_t k_pauses = 2048;

    // k_pauses were executed since the last call. Sleeps where that took no longer than a loop of them does; longer and longer
    // while it goes on, at most a tenth of a millisecond. Returns whether it slept.
    bool ran_out();

  private:
    using Clock = std::chrono::steady_clock;

    Clock::time_point m_last = Clock::now();
    std::chrono::microseconds m_rest{};  // the latest one of this row
};

}  // namespace skep::jit
