// SPDX-License-Identifier: GPL-3.0-or-later
// NetworkControl: what the control server may ask of the machine's network cards.
#pragma once

#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

enum class ForwardAction { add, remove };

// Called on the control loop's thread; card: the id of one, or empty for the first.
class NetworkControl {
  public:
    virtual ~NetworkControl() = default;
    // forward: as parse_forward() reads it. Kind in_use when the port is taken. Waits a moment for the answer.
    virtual Status change_forward(const std::string& card, ForwardAction action, const std::string& forward) = 0;
    // The cable is plugged in or pulled.
    virtual Status set_link(const std::string& card, bool up) = 0;
    // The cable of the card `into.id` is plugged in elsewhere, which its guest sees as a cable pulled and plugged in; forwards of
    // `into` are not looked at. descriptor: what open_plug() gave for it. When it fails all is as before.
    virtual Status plug(const NetworkSpec& into, Fd descriptor) = 0;
};

}  // namespace skep
