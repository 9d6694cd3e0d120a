// SPDX-License-Identifier: GPL-3.0-or-later
// main() of skepctl: every action of the window as a command.
#include <csignal>

#include "app/ctl/command.hpp"

int main(int argc, char** argv) {
    using namespace skep;
    std::signal(SIGPIPE, SIG_IGN);  // a viewer's socket may close under us
    CLI::App app("Virtual machines from the command line.", k_program_name);
    bool json = false;
    app.add_flag("--json", json, "Answer as JSON");
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
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
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
    return 2;
}
