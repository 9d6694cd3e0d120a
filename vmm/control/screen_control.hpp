// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenControl: what the control server may ask of the machine's screen, keyboard and pointer.
#pragma once

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Called on the control loop's thread; nothing waits for the guest.
class ScreenControl {
  public:
    virtual ~ScreenControl() = default;
    // A connected socket that speaks RFB.
    [[nodiscard]] virtual Result<Fd> open_viewer() = 0;
};

}  // namespace skep
