// SPDX-License-Identifier: GPL-3.0-or-later
// view: the guest's screen in a window of its own, by the program skep-view.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

// Beside this program, or where SKEP_VIEW says.
std::filesystem::path view_program() {
    if (const char* const named = std::getenv("SKEP_VIEW"); named != nullptr && *named != '\0') {
        return named;
    }
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "skep-view";
}

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
        fcntl(screen->get(), F_SETFD, 0);  // skep-view has it
        const std::string socket = std::to_string(screen->get());
        const std::string program = view_program().string();
        execl(program.c_str(), "skep-view", socket.c_str(), client->greeting().vm_name.c_str(), nullptr);
        return fail_errno(errno, fmt::format("Cannot start '{}'", program));
    }

  private:
    MachineArgument m_machine;
    bool m_sdl = true;
};

}  // namespace

std::unique_ptr<Command> make_view_command() { return std::make_unique<ViewCommand>(); }

}  // namespace skep
