// SPDX-License-Identifier: GPL-3.0-or-later
// The commands that send one message and need no more than the machine's name.
#include <poll.h>

#include <array>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

enum class AfterReply { done, wait_for_end };

struct PowerAction {
    const char* name;
    const char* help;
    MessageType message;
    AfterReply after;
    const char* done;  // said afterwards, with the machine's name
};

constexpr std::array k_actions{
    PowerAction{"stop", "Press the power button, so that the guest shuts down (--wait waits for it)", MessageType::power_button,
                AfterReply::done, "The power button of '{}' was pressed."},
    PowerAction{"poweroff", "Turn a machine off at once; what the guest has not saved is lost", MessageType::power_off,
                AfterReply::wait_for_end, "'{}' is off."},
    PowerAction{"reset", "Press reset; what the guest has not saved is lost", MessageType::reset, AfterReply::done,
                "'{}' was reset."},
    PowerAction{"pause", "Hold a machine still", MessageType::pause, AfterReply::done, "'{}' is paused."},
    PowerAction{"resume", "Let a paused machine go on", MessageType::resume, AfterReply::done, "'{}' goes on."},
    PowerAction{"retry", "Let a machine go on that was held because the disk was full", MessageType::retry, AfterReply::done,
                "'{}' goes on."},
};

class PowerCommand final : public Command {
  public:
    explicit PowerCommand(const PowerAction& action) : m_action(action) {}
    [[nodiscard]] const char* name() const override { return m_action.name; }
    [[nodiscard]] const char* help() const override { return m_action.help; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        if (m_action.message == MessageType::power_button) {
            app.add_option("--wait", m_wait_seconds, "Wait up to so many seconds for the machine to end")->type_name("SECONDS");
        }
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<ControlClient> client = m_machine.attach();
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        if (const Status done = client->command(m_action.message); !done) {
            return tl::unexpected<Error>(done.error());
        }
        constexpr unsigned k_power_off_seconds = 10;
        const unsigned seconds = m_action.after == AfterReply::wait_for_end ? k_power_off_seconds : m_wait_seconds;
        if (seconds != 0) {
            if (const Status gone = wait_for_end(*client, seconds); !gone) {
                return tl::unexpected<Error>(gone.error());
            }
        }
        const std::string& name = client->greeting().vm_name;
        output.print(OrderedJson{{"name", name}, {"done", m_action.name}}, fmt::format(fmt::runtime(m_action.done), name) + "\n");
        return 0;
    }

  private:
    // Until nobody holds the machine's lock, so that a following `start` or `delete` finds it free. A machine of `run` has
    // none: there the end of the link is all there is to see.
    [[nodiscard]] Status wait_for_end(ControlClient& client, unsigned seconds) const {
        using Clock = std::chrono::steady_clock;
        const auto deadline = Clock::now() + std::chrono::seconds(seconds);
        const Result<Bundle> bundle = m_machine.find();
        bool linked = true;
        while (bundle ? bundle->running() : linked) {
            if (Clock::now() > deadline) {
                return fail(ErrorKind::cancelled, "'{}' is still running after {} seconds; `skepctl poweroff` turns it off at once.",
                            client.greeting().vm_name, seconds);
            }
            const auto event = client.wait_event(std::chrono::milliseconds(50));
            if (!event && event.error().kind != ErrorKind::cancelled) {
                linked = false;
                ::poll(nullptr, 0, 5);  // only the lock is left to watch
            }
        }
        return {};
    }

    const PowerAction& m_action;
    MachineArgument m_machine;
    unsigned m_wait_seconds = 0;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_power_commands() {
    std::vector<std::unique_ptr<Command>> commands;
    for (const PowerAction& action : k_actions) {
        commands.push_back(std::make_unique<PowerCommand>(action));
    }
    return commands;
}

}  // namespace skep
