// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/network_changes.hpp"

#include <algorithm>

namespace skep {
namespace {

using Forwards = std::vector<std::string>;

void add_missing(std::vector<NetworkChange>& changes, const NetworkChange& change, const Forwards& from, const Forwards& in) {
    for (const std::string& forward : from) {
        if (std::ranges::find(in, forward) == in.end()) {
            changes.push_back(change);
            changes.back().forward = forward;
        }
    }
}

}  // namespace

MessageValues NetworkChange::values() const {
    if (type == MessageType::network_link) {
        return {{"card", card}, {"up", on}};
    }
    return {{"card", card}, {"forward", forward}, {"remove", !on}};
}

NetworkChange NetworkChange::undone() const { return {type, card, !on, forward}; }

std::vector<NetworkChange> network_changes(const VmSpec& before, const VmSpec& after) {
    std::vector<NetworkChange> changes;
    for (const NetworkSpec& now : after.networks) {
        const NetworkSpec* const was = before.find_network(now.id);
        if (was == nullptr) {
            continue;
        }
        if (was->link != now.link) {
            changes.push_back({MessageType::network_link, now.id, now.link, {}});
        }
        if (was->backend == NetworkBackend::user && now.backend == NetworkBackend::user) {
            add_missing(changes, {MessageType::network_forward, now.id, false, {}}, was->forwards, now.forwards);
            add_missing(changes, {MessageType::network_forward, now.id, true, {}}, now.forwards, was->forwards);
        }
    }
    return changes;
}

}  // namespace skep
