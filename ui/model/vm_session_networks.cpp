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

// What is to be plugged in is opened first, which may take a moment.
void VmSession::change_networks(const VmSpec& before, const VmSpec& after) {
    const std::vector<NetworkChange> changes = network_changes(before, after);
    if (!m_client || changes.empty()) {
        return;
    }
    const auto open_all = [changes] {
        std::vector<Result<Fd>> opened;
        for (const NetworkChange& change : changes) {
            opened.push_back(change.open());
        }
        return opened;
    };
    in_background(this, open_all, [this, before, changes](const std::vector<Result<Fd>>& opened) {
        for (size_t index = 0; index < changes.size(); ++index) {
            send_network_change(before, changes[index], opened[index]);
        }
    });
}

// What the worker refuses goes out of the settings again.
void VmSession::send_network_change(const VmSpec& before, const NetworkChange& change, const Result<Fd>& opened) {
    if (change.type == MessageType::network_link) {
        send(change.type, change.values(), change.on ? tr("The cable was not plugged in") : tr("The cable was not pulled out"));
        return;
    }
    if (change.type == MessageType::network_plug) {
        const QString title = tr("The card %1 was not connected elsewhere").arg(to_qstring(change.card));
        const NetworkSpec* const was = before.find_network(change.card);
        const std::function<void()> refused = [this, title, old = was == nullptr ? change.plug : *was] {
            update_spec(title, [old](VmSpec& spec) -> Status {
                if (NetworkSpec* const network = spec.find_network(old.id)) {
                    network->backend = old.backend;
                    network->network = old.network;
                    network->restricted = old.restricted;
                    network->forwards = old.forwards;
                }
                return {};
            });
        };
        if (!opened) {
            emit failed(title, to_qstring(opened.error().message));
            refused();
            return;
        }
        send(change.type, change.values(), title, 0, refused, *opened);
        return;
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

}  // namespace skep::ui
