// SPDX-License-Identifier: GPL-3.0-or-later
// VmSession: the networks of the running machine.
#include <algorithm>

#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"
#include "vmm/control/network_changes.hpp"

namespace skep::ui {

void VmSession::ask_networks() {
    if (m_client) {
        send(MessageType::info, {}, {});
    }
}

void VmSession::change_networks(const VmSpec& before, const VmSpec& after) {
    if (!m_client) {
        return;
    }
    for (const NetworkChange& change : network_changes(before, after)) {
        if (change.type == MessageType::network_link) {
            send(change.type, change.values(), change.on ? tr("The cable was not plugged in") : tr("The cable was not pulled out"));
            continue;
        }
        const QString title = change.on ? tr("The port forward %1 was not added").arg(to_qstring(change.forward))
                                        : tr("The port forward %1 was not removed").arg(to_qstring(change.forward));
        std::function<void()> refused;
        if (change.on) {
            refused = [this, title, change] {
                update_spec(title, [change](VmSpec& spec) -> Status {
                    if (NetworkSpec* const network = spec.find_network(change.card)) {
                        std::erase(network->forwards, change.forward);
                    }
                    return {};
                });
            };
        }
        send(change.type, change.values(), title, 0, std::move(refused));
    }
}

}  // namespace skep::ui
