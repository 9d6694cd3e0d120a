// SPDX-License-Identifier: GPL-3.0-or-later
// EndPolicy: what becomes of the machine when its guest reboots, turns off, halts or crashes, as its settings say.
#pragma once

#include "vmm/base/clock.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

enum class GuestEnd { reboot, power_off, halt, crash, panic };  // crash: triple fault; panic: the guest's system said so
enum class EndAction { keep, pause, exit, restart };            // keep: nothing happens, the guest goes on

class EndPolicy {
  public:
    // A guest that crashes again within this time of its start gets so many chances before the machine ends.
    static constexpr Nanoseconds k_soon = 30'000'000'000;
    static constexpr unsigned k_most_soon = 3;

    explicit EndPolicy(const VmSpec& spec);

    // The guest was asked to turn itself off (power button): then it is not started again for having done so.
    void turning_off_was_asked() { m_asked = true; }
    // `uptime`: of the machine, which never goes back. Counts: ask once for each end.
    [[nodiscard]] EndAction decide(GuestEnd end, Nanoseconds uptime);

  private:
    [[nodiscard]] EndAction wanted(GuestEnd end) const;

    OnReboot m_on_reboot;
    AtEnd m_on_power_off;
    AtEnd m_on_halt;
    AtEnd m_on_crash;
    OnPanic m_on_panic;
    bool m_asked = false;
    Nanoseconds m_started = 0;  // when the guest began last
    unsigned m_soon = 0;        // ends soon after a start, one after the other
};

}  // namespace skep
