// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/machine_options.hpp"
#include "vmm/control/medium_changes.hpp"
#include "vmm/control/network_changes.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

class SetCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "set"; }
    [[nodiscard]] const char* help() const override { return "Change settings: key=value..."; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_option("settings", m_settings, "key=value, such as memory=2G or disks.disk0.bus=ahci")->required();
        std::string keys = "\nSettings:\n";
        for (const FieldDescriptor* field : spec_fields()) {
            if (field->apply != Apply::never) {
                keys += fmt::format("  {:<20} {}\n", field->path, field->help);
            }
        }
        app.footer(keys);
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<Bundle> bundle = m_machine.find();
        const Result<VmSpec> before = bundle.and_then([](const Bundle& found) { return found.load(); });
        if (!before) {
            return tl::unexpected<Error>(before.error());
        }
        std::string new_name = before->name;
        const Result<VmSpec> after = bundle->update([&](VmSpec& spec) -> Status {
            for (const std::string& setting : m_settings) {
                if (Status status = apply_setting(spec, setting); !status) {
                    return status;
                }
            }
            new_name = std::exchange(spec.name, before->name);  // the folder's name changes with it, below
            return check_spec(spec, bundle->folder()).and_then([&] { return tell(*bundle, *before, spec); });
        });
        if (!after) {
            return tl::unexpected<Error>(after.error());
        }
        if (new_name != before->name) {
            if (const Status renamed = bundle->rename(new_name); !renamed) {
                return tl::unexpected<Error>(renamed.error());
            }
        }
        const bool waits = bundle->running() && has_waiting_change();
        output.print(OrderedJson{{"name", new_name}, {"next_start", waits}},
                     waits ? "Saved; the change takes effect at the next start.\n" : "Saved.\n");
        return 0;
    }

  private:
    // What a running machine takes at once; nothing is saved when it does not.
    [[nodiscard]] static Status tell(const Bundle& bundle, const VmSpec& before, const VmSpec& after) {
        if ((network_changes(before, after).empty() && medium_changes(before, after).empty()) || !bundle.running()) {
            return {};
        }
        return attach(bundle, k_program_name).and_then([&](ControlClient client) {
            return apply_network_changes(client, before, after).and_then([&] {
                const Status media = apply_medium_changes(client, before, after);
                if (!media) {
                    [[maybe_unused]] const Status back = apply_network_changes(client, after, before);
                }
                return media;
            });
        });
    }

    [[nodiscard]] bool has_waiting_change() const {
        for (const std::string& setting : m_settings) {
            const FieldDescriptor* field = find_field(setting.substr(0, setting.find('=')));
            if (field != nullptr && field->apply != Apply::live) {
                return true;
            }
        }
        return false;
    }

    MachineArgument m_machine;
    std::vector<std::string> m_settings;
};

}  // namespace

std::unique_ptr<Command> make_set_command() { return std::make_unique<SetCommand>(); }

}  // namespace skep
