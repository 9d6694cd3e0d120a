// SPDX-License-Identifier: GPL-3.0-or-later
// Where the workers' sockets live: $XDG_RUNTIME_DIR/skep/<vm-id>/ctl.sock, or /tmp/skep-<uid>/... without it.
#pragma once

#include <filesystem>
#include <string>

#include "vmm/base/result.hpp"

namespace skep {

// The folder of all machines' sockets. Not created by asking.
[[nodiscard]] std::filesystem::path runtime_root();
// Path of a machine's socket. Kind invalid_input when it would not fit a Unix socket address (108 bytes).
[[nodiscard]] Result<std::filesystem::path> socket_path(const std::string& vm_id);
// Makes the socket's folder (mode 0700) and its parents. A folder in /tmp must be ours and closed to others: kind
// permission otherwise. Returns socket_path().
[[nodiscard]] Result<std::filesystem::path> prepare_socket(const std::string& vm_id);

// Makes and returns the folder of a private network ($XDG_RUNTIME_DIR/skep/networks/NAME), as prepare_socket() does.
// name: as network_name_problem() has it.
[[nodiscard]] Result<std::filesystem::path> prepare_network_folder(const std::string& name);

}  // namespace skep
