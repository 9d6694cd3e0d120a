// SPDX-License-Identifier: GPL-3.0-or-later
// What of changed network settings a running machine takes at once: what cards are connected to, port forwards, cables.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/control/client.hpp"
#include "vmm/control/messages.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

struct NetworkChange {
    MessageType type = MessageType::network_link;  // network_forward, network_plug
    std::string card;
    bool on = false;      // the cable is plugged in, the forward is added
    std::string forward;  // as written in the settings
    NetworkSpec plug;     // what the cable is plugged into

    [[nodiscard]] MessageValues values() const;
    // The descriptor that goes with it: invalid when it needs none. May wait a few seconds. Any thread.
    [[nodiscard]] Result<Fd> open() const;
};

// In the order in which they are to be asked for: a new connection first, forwards go before others come. Of cards that both have.
[[nodiscard]] std::vector<NetworkChange> network_changes(const VmSpec& before, const VmSpec& after);

// Asks the worker for them, blocking. When it refuses one, those before are taken back.
[[nodiscard]] Status apply_network_changes(ControlClient& client, const VmSpec& before, const VmSpec& after);

}  // namespace skep
