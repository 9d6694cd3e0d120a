// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/command.hpp"
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_options.hpp"
#include "app/ctl/unattended_options.hpp"
#include "devices/formats/new_disk.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {
namespace {

class CreateCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "create"; }
    [[nodiscard]] const char* help() const override { return "Make a machine"; }
    void declare(CLI::App& app) override {
        app.add_option("name", m_name, "Name of the new machine")->required();
        m_options.declare(app);
        m_unattended.declare(app);
        app.add_option("--disk-format", m_disk_format, "raw (default) or qcow2, of the disks that are made")
            ->check(CLI::IsMember({"raw", "qcow2"}));
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<VmSpec> spec = m_options.make_spec(m_name, DisplayKind::vga);
        const Result<std::vector<uint64_t>> sizes = m_options.new_disk_sizes();
        if (!spec || !sizes) {
            return tl::unexpected<Error>(spec ? sizes.error() : spec.error());
        }
        if (const Status unused = m_unattended.wanted() ? Status() : m_unattended.check_unused(); !unused) {
            return tl::unexpected<Error>(unused.error());
        }
        const Result<Answers> answers = m_unattended.wanted() ? m_unattended.answers(*spec) : Answers{};
        if (!answers) {
            return tl::unexpected<Error>(answers.error());
        }
        Result<Bundle> bundle = Bundle::create(machines_folder(), *spec);
        if (!bundle) {
            return tl::unexpected<Error>(bundle.error());
        }
        if (const Status made = make_files(*bundle, *sizes, *answers); !made) {
            [[maybe_unused]] const auto removed = bundle->remove(DeleteMode::permanently);
            return tl::unexpected<Error>(made.error());
        }
        output.print(OrderedJson{{"name", m_name}, {"id", spec->id}, {"folder", bundle->folder().string()}},
                     fmt::format("Made '{}' in '{}'.\n", m_name, bundle->folder().string()));
        return 0;
    }

  private:
    [[nodiscard]] NewDisk new_disk(uint64_t bytes) const {
        return skep::new_disk(bytes, m_options.disk_bus(), m_disk_format == "qcow2" ? DiskFormat::qcow2 : DiskFormat::raw);
    }
    [[nodiscard]] Status make_files(const Bundle& bundle, const std::vector<uint64_t>& sizes, const Answers& answers) const {
        return bundle
            .update([&](VmSpec& spec) -> Status {
                for (const uint64_t size : sizes) {
                    if (const auto disk = bundle.create_disk(spec, new_disk(size)); !disk) {
                        return tl::unexpected<Error>(disk.error());
                    }
                }
                return m_unattended.wanted() ? m_unattended.prepare(bundle, spec, answers) : Status();
            })
            .map([](const VmSpec&) {});
    }

    std::string m_name, m_disk_format;
    MachineOptions m_options;
    UnattendedOptions m_unattended;
};

}  // namespace

std::unique_ptr<Command> make_create_command() { return std::make_unique<CreateCommand>(); }

}  // namespace skep
