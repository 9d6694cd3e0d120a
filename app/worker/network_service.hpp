// SPDX-License-Identifier: GPL-3.0-or-later
// The machine's networks: what each card's cable is plugged into, and what may be asked of that while the machine runs.
// Control thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/worker/machine_builder.hpp"
#include "vmm/control/network_control.hpp"

namespace skep {

class NetThread;
class UserBackend;

class NetworkService final : public NetworkControl {
  public:
    explicit NetworkService(const std::vector<BuiltNetwork>& cards);
    ~NetworkService() override;

    // Plugs the cables in as the spec says; before the sandbox closes.
    [[nodiscard]] Status connect(const VmSpec& spec);

    // NetworkControl
    Status change_forward(const std::string& card, ForwardAction action, const std::string& forward) override;
    Status set_link(const std::string& card, bool up) override;
    // An array, for info.
    [[nodiscard]] std::string info_json() const;

  private:
    struct Card {
        BuiltNetwork built;
        NetworkBackend kind = NetworkBackend::none;
        std::shared_ptr<UserBackend> user;  // null with other back ends
    };
    [[nodiscard]] Result<Card*> find(const std::string& card);

    std::unique_ptr<NetThread> m_thread;  // null without cards
    std::vector<Card> m_cards;
};

}  // namespace skep
