// SPDX-License-Identifier: GPL-3.0-or-later
// The machine's networks: what each card's cable is plugged into, and what may be asked of that while the machine runs.
// Control thread.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/worker/machine_builder.hpp"
#include "vmm/control/network_control.hpp"

namespace skep {

class NetBackend;
class NetThread;
class PrivateNetwork;
class UserBackend;

class NetworkService final : public NetworkControl {
  public:
    // machine: what others on a private network call it.
    NetworkService(const std::vector<BuiltNetwork>& cards, std::string machine);
    ~NetworkService() override;

    // Plugs the cables in as the spec says; before the sandbox closes.
    [[nodiscard]] Status connect(const VmSpec& spec);

    // NetworkControl
    Status change_forward(const std::string& card, ForwardAction action, const std::string& forward) override;
    Status set_link(const std::string& card, bool up) override;
    Status plug(const NetworkSpec& into, Fd descriptor) override;
    // An array, for info.
    [[nodiscard]] nlohmann::json info() const;

  private:
    // What a cable is plugged into; of the two last at most one is not null.
    struct Plug {
        std::shared_ptr<NetBackend> backend;
        std::shared_ptr<UserBackend> user;
        std::shared_ptr<PrivateNetwork> lan;
    };
    struct Card {
        BuiltNetwork built;
        NetworkSpec into;
        Plug plug;
    };
    [[nodiscard]] Result<Card*> find(const std::string& card);
    [[nodiscard]] Result<Plug> make_plug(const NetworkSpec& network, Fd descriptor);
    static void let_go(Plug& plug);

    std::string m_machine;
    std::unique_ptr<NetThread> m_thread;  // null without cards
    std::vector<Card> m_cards;
};

}  // namespace skep
