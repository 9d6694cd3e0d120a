// SPDX-License-Identifier: GPL-3.0-or-later
// NetworkState: what a running machine says about one of its network cards.
#pragma once

#include <QString>
#include <string>
#include <vector>

namespace skep::ui {

struct NetworkState {
    struct Name {
        QString name;       // "www.example.org"
        QString addresses;  // empty: there is no such name
        quint64 count = 0;  // how often it was asked for
        bool operator==(const Name&) const = default;
    };
    struct Connection {
        QString protocol;
        QString guest;   // "10.0.2.15:40000"
        QString remote;  // "151.101.2.132:80"
        quint64 sent = 0;
        quint64 received = 0;
        bool open = false;
        bool operator==(const Connection&) const = default;
    };
    QString id;
    QString backend;       // "user", "socket", ...
    QString connected_to;  // "private network 'lab', 1 other machine"
    QString ip;   // empty while the guest has said none
    QString ip6;
    bool link = true;
    quint64 sent = 0;  // bytes
    quint64 received = 0;
    std::vector<Name> names;
    std::vector<Connection> connections;
    bool operator==(const NetworkState&) const = default;
};

// Out of the worker's `info`; what is not there is left empty.
[[nodiscard]] std::vector<NetworkState> parse_networks(const std::string& info_json);

}  // namespace skep::ui
