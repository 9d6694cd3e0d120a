// SPDX-License-Identifier: GPL-3.0-or-later
// The makers of all commands, each in its own file.
#pragma once

#include <memory>
#include <vector>

namespace skep {

class Command;

[[nodiscard]] std::unique_ptr<Command> make_create_command();
[[nodiscard]] std::unique_ptr<Command> make_list_command();
[[nodiscard]] std::unique_ptr<Command> make_info_command();
[[nodiscard]] std::unique_ptr<Command> make_start_command();
[[nodiscard]] std::vector<std::unique_ptr<Command>> make_power_commands();  // stop, poweroff, reset, pause, resume, retry
[[nodiscard]] std::unique_ptr<Command> make_console_command();
[[nodiscard]] std::vector<std::unique_ptr<Command>> make_screen_commands();  // screenshot, screendump, resize
[[nodiscard]] std::vector<std::unique_ptr<Command>> make_input_commands();   // sendkeys, type, click
[[nodiscard]] std::unique_ptr<Command> make_wait_screen_command();
[[nodiscard]] std::unique_ptr<Command> make_view_command();
[[nodiscard]] std::unique_ptr<Command> make_set_command();
[[nodiscard]] std::unique_ptr<Command> make_eject_command();
[[nodiscard]] std::unique_ptr<Command> make_insert_command();
[[nodiscard]] std::unique_ptr<Command> make_usb_command();
[[nodiscard]] std::unique_ptr<Command> make_delete_command();
[[nodiscard]] std::unique_ptr<Command> make_log_command();
[[nodiscard]] std::unique_ptr<Command> make_disk_command();  // create, info, check, convert, resize, commit
[[nodiscard]] std::unique_ptr<Command> make_net_command();
[[nodiscard]] std::unique_ptr<Command> make_doctor_command();
[[nodiscard]] std::unique_ptr<Command> make_run_command();
[[nodiscard]] std::unique_ptr<Command> make_protocol_command();

}  // namespace skep
