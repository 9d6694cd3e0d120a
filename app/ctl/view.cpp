// SPDX-License-Identifier: GPL-3.0-or-later
// view: the guest's screen in a window of its own, by the program skep-view.
#include <memory>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/view_program.hpp"

namespace skep {
namespace {

class ViewCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "view"; }
    [[nodiscard]] const char* help() const override { return "Show the screen in a window"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_flag("--sdl", m_sdl, "In an SDL2 window (there is no other kind here)");
    }
    [[nodiscard]] Result<int> run(const Output& /*output*/) override {
        auto client = m_machine.attach();
        auto screen = client.and_then([](ControlClient& attached) { return attached.open_screen(); });
        if (!screen) {
            return tl::unexpected<Error>(screen.error());
        }
        return tl::unexpected<Error>(become_view(*screen, client->greeting().vm_name));
    }

  private:
    MachineArgument m_machine;
    bool m_sdl = true;
};

}  // namespace

std::unique_ptr<Command> make_view_command() { return std::make_unique<ViewCommand>(); }

}  // namespace skep
