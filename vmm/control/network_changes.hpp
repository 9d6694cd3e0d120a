// SPDX-License-Identifier: GPL-3.0-or-later
// What of changed network settings a running machine takes at once: port forwards and cables.
#pragma once

#include <string>
#include <vector>

#include "vmm/control/messages.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

struct NetworkChange {
    MessageType type = MessageType::network_link;  // or network_forward
    std::string card;
    bool on = false;      // the cable is plugged in, the forward is added
    std::string forward;  // as written in the settings

    [[nodiscard]] MessageValues values() const;
    [[nodiscard]] NetworkChange undone() const;
};

// In the order in which they are to be asked for: forwards go before others come. Of cards that both have, and of
// forwards only while the card stays with the back end `user`.
[[nodiscard]] std::vector<NetworkChange> network_changes(const VmSpec& before, const VmSpec& after);

}  // namespace skep
