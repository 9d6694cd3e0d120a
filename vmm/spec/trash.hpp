// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: the freedesktop.org Trash specification 1.0. A folder goes to the home trash; one on another file
// system to that file system's own trash ($topdir/.Trash/$uid, else $topdir/.Trash-$uid), as the specification tells.
// Nothing is ever copied: a machine's disks are large, and a copy that ends half-way is worse than no trash.
#pragma once

#include <filesystem>

#include "vmm/base/result.hpp"

namespace skep {

// $XDG_DATA_HOME or ~/.local/share.
[[nodiscard]] std::filesystem::path data_home();
// Returns the new place, <trash>/files/<name>. Kind unsupported, with nothing changed, when the folder's file system has
// no trash and lets nobody make one.
[[nodiscard]] Result<std::filesystem::path> move_to_trash(const std::filesystem::path& folder);
// Moves back to where it came from and returns that path.
[[nodiscard]] Result<std::filesystem::path> take_from_trash(const std::filesystem::path& trashed);

}  // namespace skep
