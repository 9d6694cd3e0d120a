// SPDX-License-Identifier: GPL-3.0-or-later
// net: port forwards and cables, live when the machine runs, and in its settings either way.
#include <algorithm>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/machine_options.hpp"
#include "vmm/control/network_changes.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {
namespace {

class NetCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "net"; }
    [[nodiscard]] const char* help() const override {
        return "Forward a port of this host into a machine, or pull its network cable: also while it runs";
    }
    void declare(CLI::App& app) override {
        app.add_option("action", m_action, "forward-add, forward-remove, link-up or link-down")
            ->required()
            ->check(CLI::IsMember({"forward-add", "forward-remove", "link-up", "link-down"}));
        m_machine.declare(app);
        app.add_option("forward", m_forward, "[HOST:]PORT:[GUEST:]PORT[/tcp|/udp], such as 2222:22 or 0.0.0.0:5353:53/udp");
        app.add_option("--card", m_card, "Network card (the first one when left out)")->type_name("ID");
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        if (is_forward() == m_forward.empty()) {
            return fail(ErrorKind::invalid_input, "'{}' {}.", m_action,
                        is_forward() ? "needs a port forward, such as 2222:22" : "takes no port forward");
        }
        const Result<Bundle> bundle = m_machine.find();
        if (!bundle) {
            return run_unkept(output);  // a machine of `run --socket` has no settings
        }
        const auto wanted = bundle->load().and_then([&](VmSpec spec) {
            return change(spec).and_then([&] { return check_spec(spec, bundle->folder()); }).map([&] { return spec; });
        });
        if (!wanted) {
            return tl::unexpected<Error>(wanted.error());
        }
        if (bundle->running()) {
            const auto told = attach(*bundle, k_program_name).and_then([&](ControlClient client) { return tell(client); });
            if (!told) {
                return tl::unexpected<Error>(told.error());
            }
        }
        if (const auto saved = bundle->update([&](VmSpec& now) { return change(now); }); !saved) {
            return tl::unexpected<Error>(saved.error());
        }
        return done(output, wanted->name);
    }

  private:
    [[nodiscard]] bool is_forward() const { return m_action.starts_with("forward"); }

    [[nodiscard]] Result<int> run_unkept(const Output& output) {
        const auto told = m_machine.attach().and_then([&](ControlClient client) { return tell(client); });
        return told ? done(output, m_machine.name()) : Result<int>(tl::unexpected<Error>(told.error()));
    }

    [[nodiscard]] Result<int> done(const Output& output, const std::string& machine) const {
        output.print(OrderedJson{{"name", machine}, {"card", m_card}, {"action", m_action}, {"forward", m_forward}}, "Done.\n");
        return 0;
    }

    [[nodiscard]] Status change(VmSpec& spec) const {
        NetworkSpec* const network = !m_card.empty()         ? spec.find_network(m_card)
                                     : spec.networks.empty() ? nullptr
                                                             : &spec.networks.front();
        if (network == nullptr) {
            return fail(ErrorKind::not_found, "The machine '{}' has no network card{}{}.", spec.name, m_card.empty() ? "" : " ", m_card);
        }
        if (!is_forward()) {
            network->link = m_action == "link-up";
            return {};
        }
        return parse_forward(m_forward).and_then([&](const NetworkForward& forward) -> Status {
            if (m_action == "forward-add") {
                network->forwards.push_back(print_forward(forward));
                return {};
            }
            const size_t removed = std::erase_if(network->forwards, [&](const std::string& text) {
                const auto other = parse_forward(text);
                return other && other->same_place(forward);
            });
            return removed != 0 ? Status() : Status(fail(ErrorKind::not_found, "Port {} of this host does not lead into '{}'.",
                                                         forward.host_port, spec.name));
        });
    }

    [[nodiscard]] Status tell(ControlClient& client) const {
        const NetworkChange change{.type = is_forward() ? MessageType::network_forward : MessageType::network_link,
                                   .card = m_card,
                                   .on = m_action == "link-up" || m_action == "forward-add",
                                   .forward = m_forward,
                                   .plug = {}};
        return client.command(change.type, change.values());
    }

    MachineArgument m_machine;
    std::string m_action;
    std::string m_forward;
    std::string m_card;
};

}  // namespace

std::unique_ptr<Command> make_net_command() { return std::make_unique<NetCommand>(); }

}  // namespace skep
