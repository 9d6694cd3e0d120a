// SPDX-License-Identifier: GPL-3.0-or-later
// eject and insert: live when the machine runs, and in its settings either way.
#include <algorithm>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/machine_options.hpp"

namespace skep {
namespace {

enum class MediumAction { eject, insert };

class MediumCommand final : public Command {
  public:
    explicit MediumCommand(MediumAction action) : m_action(action) {}
    [[nodiscard]] const char* name() const override { return ejects() ? "eject" : "insert"; }
    [[nodiscard]] const char* help() const override {
        return ejects() ? "Take the medium out of a CD drive" : "Put an ISO file into a CD drive";
    }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        if (!ejects()) {
            app.add_option("file", m_file, "ISO file")->required();
        }
        app.add_option("--drive", m_drive, "CD drive (the first one when left out)")->type_name("ID");
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        const Result<Bundle> bundle = m_machine.find();
        const Result<VmSpec> spec = bundle.and_then([](const Bundle& found) { return found.load(); });
        if (!spec) {
            return tl::unexpected<Error>(spec.error());
        }
        std::error_code ignored;
        const std::string file = ejects() ? "" : std::filesystem::absolute(m_file, ignored).lexically_normal().string();
        std::string drive = m_drive.empty() && !spec->cds.empty() ? spec->cds.front().id : m_drive;
        VmSpec wanted = *spec;
        if (const Status changed = change(wanted, drive, file); !changed) {
            return tl::unexpected<Error>(changed.error());
        }
        if (const Status checked = check_spec(wanted, bundle->folder()); !checked) {
            return tl::unexpected<Error>(checked.error());
        }
        if (bundle->running()) {
            if (const Status told = tell_worker(*bundle, drive, file); !told) {
                return tl::unexpected<Error>(told.error());
            }
        }
        const auto saved = bundle->update([&](VmSpec& now) { return change(now, drive, file); });
        if (!saved) {
            return tl::unexpected<Error>(saved.error());
        }
        output.print(OrderedJson{{"name", spec->name}, {"drive", drive}, {"file", file}},
                     file.empty() ? fmt::format("The drive '{}' of '{}' is empty.\n", drive, spec->name)
                                  : fmt::format("'{}' is in the drive '{}' of '{}'.\n", file, drive, spec->name));
        return 0;
    }

  private:
    [[nodiscard]] bool ejects() const { return m_action == MediumAction::eject; }

    [[nodiscard]] static Status change(VmSpec& spec, const std::string& drive, const std::string& file) {
        CdSpec* const cd = spec.find_cd(drive);
        if (cd == nullptr) {
            return drive.empty() ? fail(ErrorKind::not_found, "The machine '{}' has no CD drive.", spec.name)
                                 : fail(ErrorKind::not_found, "The machine '{}' has no CD drive '{}'.", spec.name, drive);
        }
        cd->file = file;
        return {};
    }

    [[nodiscard]] Status tell_worker(const Bundle& bundle, const std::string& drive, const std::string& file) const {
        return attach(bundle, k_program_name).and_then([&](ControlClient client) {
            return ejects() ? client.command(MessageType::eject, {{"drive", drive}})
                            : client.command(MessageType::insert, {{"drive", drive}, {"file", file}});
        });
    }

    MediumAction m_action;
    MachineArgument m_machine;
    std::string m_file;
    std::string m_drive;
};

}  // namespace

std::unique_ptr<Command> make_eject_command() { return std::make_unique<MediumCommand>(MediumAction::eject); }
std::unique_ptr<Command> make_insert_command() { return std::make_unique<MediumCommand>(MediumAction::insert); }

}  // namespace skep
