// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: the home trash of the freedesktop.org Trash specification 1.0.
#pragma once

#include <filesystem>

#include "vmm/base/result.hpp"

namespace skep {

// $XDG_DATA_HOME or ~/.local/share.
[[nodiscard]] std::filesystem::path data_home();
// Returns the new place, $XDG_DATA_HOME/Trash/files/<name>. Kind unsupported when the folder is on another file system.
[[nodiscard]] Result<std::filesystem::path> move_to_trash(const std::filesystem::path& folder);
// Moves back to where it came from and returns that path.
[[nodiscard]] Result<std::filesystem::path> take_from_trash(const std::filesystem::path& trashed);

}  // namespace skep
