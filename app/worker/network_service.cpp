// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/network_service.hpp"

#include <nlohmann/json.hpp>

#include "devices/net/net_cable.hpp"
#include "devices/net/net_thread.hpp"
#include "devices/net/user_backend.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

// Beside this program, where builds and packages put it.
std::filesystem::path network_program() {
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "skep-net";
}

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

}  // namespace

NetworkService::NetworkService(const std::vector<BuiltNetwork>& cards) {
    for (const BuiltNetwork& card : cards) {
        m_cards.push_back({.built = card, .user = {}});
    }
}

NetworkService::~NetworkService() {
    for (Card& card : m_cards) {
        card.built.cable->connect(nullptr);
        card.user.reset();
    }
}

Status NetworkService::connect(const VmSpec& spec) {
    if (m_cards.empty()) {
        return {};
    }
    m_thread = std::make_unique<NetThread>();
    for (Card& card : m_cards) {
        const NetworkSpec* const network = spec.find_network(card.built.id);
        if (network == nullptr) {
            continue;
        }
        card.kind = network->backend;
        if (network->backend == NetworkBackend::user) {
            UserBackendConfig config{.restricted = network->restricted, .forwards = {}};
            for (const std::string& text : network->forwards) {
                auto forward = parse_forward(text);
                if (!forward) {
                    return tl::unexpected(forward.error());
                }
                config.forwards.push_back(*forward);
            }
            auto user = UserBackend::start(*m_thread, network_program(), config);
            if (!user) {
                return tl::unexpected(user.error());
            }
            card.user = *user;
            card.built.cable->connect(*user);
        }
    }
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
    if (!(*found)->user) {
        return fail(ErrorKind::unsupported, "Only a card with the back end 'user' has port forwards; '{}' has '{}'.",
                    (*found)->built.id, to_text((*found)->kind));
    }
    return parse_forward(text).and_then([&](const NetworkForward& forward) {
        return action == ForwardAction::add ? (*found)->user->add_forward(forward) : (*found)->user->remove_forward(forward);
    });
}

Status NetworkService::set_link(const std::string& card, bool up) {
    return find(card).map([&](Card* found) { found->built.cable->set_link(up ? NetCable::Link::up : NetCable::Link::down); });
}

std::string NetworkService::info_json() const {
    nlohmann::json cards = nlohmann::json::array();
    for (const Card& card : m_cards) {
        const NetCounters counters = card.built.cable->counters();
        const GuestAddresses addresses = card.built.cable->addresses();
        nlohmann::json one{{"id", card.built.id},
                           {"mac", print_mac(card.built.mac)},
                           {"backend", to_text(card.kind)},
                           {"link", card.built.cable->is_up()},
                           {"ip", addresses.ip4()},
                           {"ip6", addresses.ip6()},
                           {"bytes_sent", counters.bytes_sent},
                           {"bytes_received", counters.bytes_received},
                           {"frames_sent", counters.frames_sent},
                           {"frames_received", counters.frames_received},
                           {"frames_dropped", counters.dropped}};
        if (card.user) {
            one["forwards"] = nlohmann::json::array();
            for (const NetworkForward& forward : card.user->forwards()) {
                one["forwards"].push_back(print_forward(forward));
            }
            one["restarts"] = card.user->restarts();
            one["glass"] = report_json(card.user->report());
        }
        cards.push_back(std::move(one));
    }
    return cards.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace skep
