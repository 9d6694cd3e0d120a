// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "app/ctl/command.hpp"
#include "vmm/control/messages.hpp"

namespace skep {

void Output::print(const OrderedJson& json, std::string_view text) const {
    const std::string line = is_json() ? print_json(json, 2) + "\n" : std::string(text);
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
}

void Output::print_failure(std::string_view kind, const std::string& message) const {
    if (is_json()) {
        print(OrderedJson{{"error", {{"kind", kind}, {"message", message}}}}, "");
    }
    fmt::print(stderr, "{}: {}\n", k_program_name, message);
}

void Output::print_error(const Error& error) const { print_failure(to_text(error.kind), error.message); }
void Output::print_usage_error(const std::string& message) const { print_failure("usage", message); }

void Output::note(std::string_view text) const {
    if (!is_json()) {
        fmt::print(stderr, "{}\n", text);
    }
}

Commands make_commands() {
    Commands commands;
    commands.push_back(make_create_command());
    commands.push_back(make_list_command());
    commands.push_back(make_info_command());
    commands.push_back(make_start_command());
    for (const auto make_some : {make_power_commands, make_screen_commands, make_input_commands}) {
        for (auto& command : make_some()) {
            commands.push_back(std::move(command));
        }
    }
    commands.push_back(make_wait_screen_command());
    commands.push_back(make_view_command());
    commands.push_back(make_console_command());
    commands.push_back(make_set_command());
    commands.push_back(make_eject_command());
    commands.push_back(make_insert_command());
    commands.push_back(make_usb_command());
    commands.push_back(make_net_command());
    commands.push_back(make_delete_command());
    commands.push_back(make_log_command());
    commands.push_back(make_disk_command());
    commands.push_back(make_doctor_command());
    commands.push_back(make_run_command());
    commands.push_back(make_protocol_command());
    return commands;
}

}  // namespace skep
