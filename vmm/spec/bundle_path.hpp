// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: file names of a spec against the bundle's folder.
#pragma once

#include <filesystem>
#include <string>

#include "vmm/base/result.hpp"

namespace skep {

// A relative name that climbs out with "..".
[[nodiscard]] bool leaves_folder(const std::string& file);
// Absolute names are given back; relative ones must stay inside the folder, also through symbolic links.
[[nodiscard]] Result<std::filesystem::path> resolve_in_folder(const std::filesystem::path& folder, const std::string& file);

}  // namespace skep
