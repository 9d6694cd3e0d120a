// SPDX-License-Identifier: GPL-3.0-or-later
#include <cstdio>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/machine_options.hpp"

namespace skep {
namespace {

class StartCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "start"; }
    [[nodiscard]] const char* help() const override { return "Start a machine; it goes on when this command ends"; }
    void declare(CLI::App& app) override { m_machine.declare(app); }

    [[nodiscard]] Result<int> run(const Output& output) override {
        const Result<Bundle> bundle = m_machine.find();
        const Result<VmSpec> spec = bundle.and_then([](const Bundle& found) { return found.load(); });
        if (!spec) {
            return tl::unexpected<Error>(spec.error());
        }
        if (bundle->running()) {
            return fail(ErrorKind::in_use, "The machine '{}' is running already.", spec->name);
        }
        if (const Status checked = check_spec(*spec, bundle->folder()); !checked) {
            return tl::unexpected<Error>(checked.error());
        }
        Result<Launched> launched = launch(*bundle, k_program_name, {}, [](const std::string& sentence) {
            std::fprintf(stderr, "%s Waiting for it.\n", sentence.c_str());
        });
        if (!launched) {
            return tl::unexpected<Error>(launched.error());
        }
        const Result<MachineStatus> status = launched->client.status();
        const std::string backend = status ? fmt::format(" ({}: {})", status->cpu_backend, status->cpu_reason) : "";
        output.print(OrderedJson{{"name", spec->name},
                                 {"pid", launched->client.greeting().pid},
                                 {"cpu_backend", status ? status->cpu_backend : ""},
                                 {"cpu_reason", status ? status->cpu_reason : ""}},
                     fmt::format("'{}' is started{}.\n", spec->name, backend));
        return 0;
    }

  private:
    MachineArgument m_machine;
};

}  // namespace

std::unique_ptr<Command> make_start_command() { return std::make_unique<StartCommand>(); }

}  // namespace skep
