// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/network_changes.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "vmm/control/network_plug.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

using Forwards = std::vector<std::string>;
constexpr std::chrono::seconds k_plug_timeout{20};  // a new network process has to start

void add_missing(std::vector<NetworkChange>& changes, const NetworkChange& change, const Forwards& from, const Forwards& in) {
    for (const std::string& forward : from) {
        if (std::ranges::find(in, forward) == in.end()) {
            changes.push_back(change);
            changes.back().forward = forward;
        }
    }
}

bool is_elsewhere(const NetworkSpec& was, const NetworkSpec& now) {
    const bool is_named = now.backend == NetworkBackend::socket || now.backend == NetworkBackend::tap;
    return was.backend != now.backend || (is_named && was.network != now.network) ||
           (now.backend == NetworkBackend::user && was.restricted != now.restricted);
}

Status ask(ControlClient& client, const NetworkChange& change) {
    return change.open().and_then([&](const Fd& descriptor) {
        return client.command(change.type, change.values(), descriptor,
                              change.type == MessageType::network_plug ? k_plug_timeout : ControlClient::k_timeout);
    });
}

}  // namespace

MessageValues NetworkChange::values() const {
    switch (type) {
        case MessageType::network_link: return {{"card", card}, {"up", on}};
        case MessageType::network_plug:
            return {{"card", card},
                    {"backend", std::string(to_text(plug.backend))},
                    {"network", plug.network},
                    {"restrict", plug.restricted}};
        default: return {{"card", card}, {"forward", forward}, {"remove", !on}};
    }
}

Result<Fd> NetworkChange::open() const {
    return type == MessageType::network_plug ? open_plug(plug, PlugMessages::nowhere) : Result<Fd>(Fd());
}

std::vector<NetworkChange> network_changes(const VmSpec& before, const VmSpec& after) {
    std::vector<NetworkChange> changes;
    for (const NetworkSpec& now : after.networks) {
        const NetworkSpec* const was = before.find_network(now.id);
        if (was == nullptr) {
            continue;
        }
        const bool moves = is_elsewhere(*was, now);
        if (moves) {
            changes.push_back({MessageType::network_plug, now.id, true, {}, now});
        }
        if (was->link != now.link) {
            changes.push_back({MessageType::network_link, now.id, now.link, {}, {}});
        }
        if (now.backend == NetworkBackend::user) {
            const Forwards there = moves ? Forwards() : was->forwards;  // forwards do not come along
            add_missing(changes, {MessageType::network_forward, now.id, false, {}, {}}, there, now.forwards);
            add_missing(changes, {MessageType::network_forward, now.id, true, {}, {}}, now.forwards, there);
        }
    }
    return changes;
}

Status apply_network_changes(ControlClient& client, const VmSpec& before, const VmSpec& after) {
    std::set<std::string> changed;
    for (const NetworkChange& change : network_changes(before, after)) {
        if (const Status done = ask(client, change); !done) {
            for (const NetworkChange& back : network_changes(after, before)) {
                if (changed.contains(back.card)) {  // what was not done yet is refused
                    [[maybe_unused]] const Status undone = ask(client, back);
                }
            }
            return done;
        }
        changed.insert(change.card);
    }
    return {};
}

}  // namespace skep
