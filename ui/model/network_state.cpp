// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/model/network_state.hpp"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

namespace skep::ui {
namespace {

QString text(const QJsonObject& object, const char* key) { return object.value(QLatin1String(key)).toString(); }
quint64 number(const QJsonObject& object, const char* key) {
    return static_cast<quint64>(object.value(QLatin1String(key)).toInteger());
}

}  // namespace

std::vector<NetworkState> parse_networks(const std::string& info_json) {
    const QJsonObject info = QJsonDocument::fromJson(QByteArray::fromStdString(info_json)).object();
    std::vector<NetworkState> networks;
    for (const QJsonValue& card : info.value(QLatin1String("networks")).toArray()) {
        const QJsonObject from = card.toObject();
        const QJsonObject glass = from.value(QLatin1String("glass")).toObject();
        NetworkState& network = networks.emplace_back();
        network.id = text(from, "id");
        network.backend = text(from, "backend");
        network.connected_to = text(from, "connected_to");
        network.ip = text(from, "ip");
        network.ip6 = text(from, "ip6");
        network.link = from.value(QLatin1String("link")).toBool(true);
        network.sent = number(from, "bytes_sent");
        network.received = number(from, "bytes_received");
        for (const QJsonValue& each : glass.value(QLatin1String("names")).toArray()) {
            const QJsonObject name = each.toObject();
            network.names.push_back({text(name, "name"), text(name, "addresses"), number(name, "count")});
        }
        for (const QJsonValue& each : glass.value(QLatin1String("connections")).toArray()) {
            const QJsonObject one = each.toObject();
            network.connections.push_back({text(one, "protocol"), text(one, "guest"), text(one, "remote"),
                                           number(one, "bytes_sent"), number(one, "bytes_received"),
                                           one.value(QLatin1String("open")).toBool()});
        }
    }
    return networks;
}

}  // namespace skep::ui
