// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

class LogCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "log"; }
    [[nodiscard]] const char* help() const override { return "Show the end of a machine's log"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_option("-n,--lines", m_lines, "How many lines")->capture_default_str();
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        const Result<Bundle> bundle = m_machine.find();
        if (!bundle) {
            return tl::unexpected<Error>(bundle.error());
        }
        const std::string text = log_tail(*bundle, m_lines);
        output.print(OrderedJson{{"file", bundle->worker_log().string()}, {"text", text}}, text);
        if (text.empty()) {
            output.note("The log is empty.");
        }
        return 0;
    }

  private:
    MachineArgument m_machine;
    size_t m_lines = 50;
};

class ProtocolCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "protocol"; }
    [[nodiscard]] const char* help() const override { return "Describe the control protocol (Markdown)"; }
    void declare(CLI::App&) override {}
    [[nodiscard]] Result<int> run(const Output& output) override {
        output.print(OrderedJson{{"version", k_protocol_version}, {"markdown", protocol_document()}}, protocol_document());
        return 0;
    }
};

}  // namespace

std::unique_ptr<Command> make_log_command() { return std::make_unique<LogCommand>(); }
std::unique_ptr<Command> make_protocol_command() { return std::make_unique<ProtocolCommand>(); }

}  // namespace skep
