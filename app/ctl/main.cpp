// SPDX-License-Identifier: GPL-3.0-or-later
// main() of skepctl: every action of the window as a command.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "app/ctl/command.hpp"

namespace {

constexpr int k_usage_error = 2;

// The command line was not understood, so whether it wants JSON is seen by looking.
bool wants_json(int argc, char** argv) {
    return std::any_of(argv, argv + argc, [](const char* argument) { return std::string_view(argument) == "--json"; });
}

// CLI11 says "A subcommand is required" of a command that it does not know.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
    const std::vector<std::string> unknown = app.remaining();
    const auto used = app.get_subcommands();
    if (used.empty() && !unknown.empty()) {
        return fmt::format("There is no command '{}'; `skepctl --help` lists them.", unknown.front());
    }
    std::string message = error.what();
    while (!message.empty() && (message.back() == '.' || message.back() == '\n' || message.back() == ' ')) {
        message.pop_back();
    }
    std::ranges::replace(message, '\n', ' ');
    return fmt::format("{}; `skepctl {}--help` shows what may be said.", message, used.empty() ? "" : used.front()->get_name() + " ");
}

}  // namespace

int main(int argc, char** argv) {
    using namespace skep;
    std::signal(SIGPIPE, SIG_IGN);  // a viewer's socket may close under us
    CLI::App app("Virtual machines from the command line.", k_program_name);
    bool json = false;
    app.add_flag("--json", json, "Answer as JSON (with every command)");
    app.set_version_flag("--version", SKEP_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    const Commands commands = make_commands();
    std::vector<CLI::App*> parsers;
    for (const auto& command : commands) {
        CLI::App* parser = app.add_subcommand(command->name(), command->help());
        command->declare(*parser);
        parsers.push_back(parser);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help_or_version) {
        return app.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
        const Output output(wants_json(argc, argv) ? OutputFormat::json : OutputFormat::text);
        output.print_usage_error(usage_error(app, error));
        const auto used = std::ranges::find_if(parsers, [](const CLI::App* parser) { return parser->parsed(); });
        return used == parsers.end() ? k_usage_error : commands[static_cast<size_t>(used - parsers.begin())]->usage_error_code();
    }
    const Output output(json ? OutputFormat::json : OutputFormat::text);
    for (size_t index = 0; index < commands.size(); ++index) {
        if (!parsers[index]->parsed()) {
            continue;
        }
        const Result<int> code = commands[index]->run(output);
        if (!code) {
            output.print_error(code.error());
            return commands[index]->error_code();
        }
        return *code;
    }
    return k_usage_error;
}
