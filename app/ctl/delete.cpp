// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

class DeleteCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "delete"; }
    [[nodiscard]] const char* help() const override { return "Move a machine with its disks to the trash"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_flag("--permanently", m_permanently, "Delete for good instead");
        app.add_flag("--list", m_only_list, "Only show what would be deleted");
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<Bundle> bundle = m_machine.find();
        if (!bundle) {
            return tl::unexpected<Error>(bundle.error());
        }
        OrderedJson files = OrderedJson::array();
        std::string text;
        for (const BundleFile& file : bundle->files()) {
            files.push_back({{"path", file.path.string()}, {"size", file.size}, {"allocated", file.allocated}});
            text += fmt::format("{:>10}  {}\n", describe_size(file.allocated), file.path.string());
        }
        OrderedJson json{{"folder", bundle->folder().string()}, {"files", std::move(files)}};
        if (!m_only_list) {
            const auto trashed = bundle->remove(m_permanently ? DeleteMode::permanently : DeleteMode::trash);
            if (!trashed) {
                return tl::unexpected<Error>(trashed.error());
            }
            json["trashed"] = trashed->string();
            text += trashed->empty() ? fmt::format("'{}' is deleted.\n", bundle->folder_name())
                                     : fmt::format("'{}' is in the trash: '{}'.\n", bundle->folder_name(), trashed->string());
        }
        output.print(json, text);
        return 0;
    }

  private:
    MachineArgument m_machine;
    bool m_permanently = false;
    bool m_only_list = false;
};

}  // namespace

std::unique_ptr<Command> make_delete_command() { return std::make_unique<DeleteCommand>(); }

}  // namespace skep
