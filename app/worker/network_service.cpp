// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/network_service.hpp"

#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "devices/net/net_cable.hpp"
#include "devices/net/net_thread.hpp"
#include "devices/net/null_backend.hpp"
#include "devices/net/private_network.hpp"
#include "devices/net/tap_backend.hpp"
#include "devices/net/user_backend.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/network_plug.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

nlohmann::json report_json(const NatReport& report) {
    nlohmann::json names = nlohmann::json::array();
    for (const auto& name : report.names) {
        names.push_back({{"name", name.name}, {"addresses", name.addresses}, {"count", name.count}});
    }
    nlohmann::json connections = nlohmann::json::array();
    for (const auto& one : report.connections) {
        connections.push_back({{"protocol", one.protocol},
                               {"guest", one.guest},
                               {"remote", one.remote},
                               {"bytes_sent", one.bytes_sent},
                               {"bytes_received", one.bytes_received},
                               {"open", one.open}});
    }
    return {{"names", names}, {"connections", connections}, {"connections_ever", report.connections_ever}};
}

std::string connection_text(const NetworkSpec& into, const PrivateNetwork* lan) {
    if (lan == nullptr) {
        return describe_connection(into);
    }
    const size_t others = lan->others().size();
    return fmt::format("{}, {}", describe_connection(into),
                       others == 0 ? "nobody else" : fmt::format("{} other machine{}", others, others == 1 ? "" : "s"));
}

}  // namespace

NetworkService::NetworkService(const std::vector<BuiltNetwork>& cards, std::string machine) : m_machine(std::move(machine)) {
    for (const BuiltNetwork& card : cards) {
        m_cards.push_back({.built = card, .into = {}, .plug = {}});
    }
    if (!cards.empty()) {
        m_thread = std::make_unique<NetThread>();
    }
}

NetworkService::~NetworkService() {
    for (Card& card : m_cards) {
        card.built.cable->connect(nullptr);
        let_go(card.plug);
    }
}

// A processor may be sending still, and back ends must end on this thread: sending never takes long.
void NetworkService::let_go(Plug& plug) {
    plug.user.reset();
    plug.lan.reset();
    while (plug.backend.use_count() > 1) {
        std::this_thread::yield();
    }
    plug.backend.reset();
}

Result<NetworkService::Plug> NetworkService::make_plug(const NetworkSpec& network, Fd descriptor) {
    const auto as_plug = [](auto backend) { return Plug{.backend = std::move(backend), .user = {}, .lan = {}}; };
    switch (network.backend) {
        case NetworkBackend::user:
            return UserBackend::start(*m_thread, std::move(descriptor), {.restricted = network.restricted, .forwards = {}})
                .map([](std::shared_ptr<UserBackend> user) { return Plug{.backend = user, .user = user, .lan = {}}; });
        case NetworkBackend::socket:
            return prepare_network_folder(network.network)
                .and_then([&](const std::filesystem::path& folder) { return PrivateNetwork::join(*m_thread, folder, m_machine); })
                .map([](std::shared_ptr<PrivateNetwork> lan) { return Plug{.backend = lan, .user = {}, .lan = lan}; });
        case NetworkBackend::tap: return TapBackend::start(*m_thread, std::move(descriptor)).map(as_plug);
        case NetworkBackend::none: break;
    }
    return as_plug(std::make_shared<NullBackend>(*m_thread));
}

Status NetworkService::connect(const VmSpec& spec) {
    for (Card& card : m_cards) {
        const NetworkSpec* const network = spec.find_network(card.built.id);
        if (network == nullptr) {
            continue;
        }
        auto plug = open_plug(*network, PlugMessages::here).and_then([&](Fd descriptor) { return make_plug(*network, std::move(descriptor)); });
        if (!plug) {
            return tl::unexpected(plug.error());
        }
        card.into = *network;
        card.plug = std::move(*plug);
        for (const std::string& text : card.plug.user ? network->forwards : std::vector<std::string>()) {
            const Status added = parse_forward(text).and_then(
                [&](const NetworkForward& forward) { return card.plug.user->add_forward(forward); });
            if (!added) {
                return added;
            }
        }
        card.built.cable->connect(card.plug.backend);
    }
    return {};
}

Status NetworkService::plug(const NetworkSpec& into, Fd descriptor) {
    auto found = find(into.id);
    if (!found) {
        return tl::unexpected(found.error());
    }
    Card& card = **found;
    auto made = make_plug(into, std::move(descriptor));
    if (!made) {
        return tl::unexpected(made.error());
    }
    NetCable& cable = *card.built.cable;
    const bool was_up = cable.is_up();
    cable.set_link(NetCable::Link::down);
    Plug before = std::exchange(card.plug, std::move(*made));
    card.into = into;
    cable.connect(card.plug.backend);
    let_go(before);
    cable.set_link(was_up ? NetCable::Link::up : NetCable::Link::down);
    log_info("network: the card '{}' is connected elsewhere: {}", into.id, describe_connection(into));
    return {};
}

Result<NetworkService::Card*> NetworkService::find(const std::string& card) {
    for (Card& each : m_cards) {
        if (card.empty() || each.built.id == card) {
            return &each;
        }
    }
    return card.empty() ? fail(ErrorKind::not_found, "This machine has no network card; add one in its settings.")
                        : fail(ErrorKind::not_found, "This machine has no network card '{}'.", card);
}

Status NetworkService::change_forward(const std::string& card, ForwardAction action, const std::string& text) {
    auto found = find(card);
    if (!found) {
        return tl::unexpected(found.error());
    }
    UserBackend* const user = (*found)->plug.user.get();
    if (user == nullptr) {
        return fail(ErrorKind::unsupported, "Only a card with the back end 'user' has port forwards; '{}' has '{}'.",
                    (*found)->built.id, to_text((*found)->into.backend));
    }
    return parse_forward(text).and_then([&](const NetworkForward& forward) {
        return action == ForwardAction::add ? user->add_forward(forward) : user->remove_forward(forward);
    });
}

Status NetworkService::set_link(const std::string& card, bool up) {
    return find(card).map([&](Card* found) { found->built.cable->set_link(up ? NetCable::Link::up : NetCable::Link::down); });
}

nlohmann::json NetworkService::info() const {
    nlohmann::json cards = nlohmann::json::array();
    for (const Card& card : m_cards) {
        const NetCounters counters = card.built.cable->counters();
        const GuestAddresses addresses = card.built.cable->addresses();
        nlohmann::json one{{"id", card.built.id},
                           {"mac", print_mac(card.built.mac)},
                           {"backend", to_text(card.into.backend)},
                           {"connected_to", connection_text(card.into, card.plug.lan.get())},
                           {"link", card.built.cable->is_up()},
                           {"ip", addresses.ip4()},
                           {"ip6", addresses.ip6()},
                           {"bytes_sent", counters.bytes_sent},
                           {"bytes_received", counters.bytes_received},
                           {"frames_sent", counters.frames_sent},
                           {"frames_received", counters.frames_received},
                           {"frames_dropped", counters.dropped}};
        if (card.plug.user) {
            one["forwards"] = nlohmann::json::array();
            for (const NetworkForward& forward : card.plug.user->forwards()) {
                one["forwards"].push_back(print_forward(forward));
            }
            one["restarts"] = card.plug.user->restarts();
            one["glass"] = report_json(card.plug.user->report());
        }
        if (card.plug.lan) {
            one["others"] = card.plug.lan->others();
        }
        cards.push_back(std::move(one));
    }
    return cards;
}

}  // namespace skep
