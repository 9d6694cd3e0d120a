// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/command.hpp"
#include "app/ctl/commands.hpp"
#include "vmm/control/host_check.hpp"

namespace skep {
namespace {

class DoctorCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "doctor"; }
    [[nodiscard]] const char* help() const override { return "Check whether this host is ready"; }
    void declare(CLI::App&) override {}

    // 0 when machines can run (warnings included), 1 when something must be mended first.
    [[nodiscard]] Result<int> run(const Output& output) override {
        OrderedJson findings = OrderedJson::array();
        std::string text;
        bool broken = false;
        for (const HostFinding& finding : check_host(probe_host())) {
            const std::string level = finding.level == CheckLevel::ok        ? "ok"
                                      : finding.level == CheckLevel::warning ? "warning"
                                                                             : "error";
            broken = broken || finding.level == CheckLevel::error;
            findings.push_back({{"id", finding.id},
                                {"title", finding.title},
                                {"level", level},
                                {"cause", finding.cause},
                                {"cure", finding.cure},
                                {"command", finding.command}});
            text += fmt::format("{:<8} {}: {}\n", level, finding.title, finding.cause);
            text += finding.cure.empty() ? "" : fmt::format("         {}\n", finding.cure);
            text += finding.command.empty() ? "" : fmt::format("           {}\n", finding.command);
        }
        output.print(OrderedJson{{"ready", !broken}, {"findings", std::move(findings)}}, text);
        return broken ? 1 : 0;
    }
};

}  // namespace

std::unique_ptr<Command> make_doctor_command() { return std::make_unique<DoctorCommand>(); }

}  // namespace skep
