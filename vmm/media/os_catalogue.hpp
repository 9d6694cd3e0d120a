// SPDX-License-Identifier: GPL-3.0-or-later
// Which operating system a volume id, a ".disk/info" line or a file name speaks of, and what a VM for it needs.
#pragma once

#include <optional>
#include <string_view>

#include "vmm/media/medium.hpp"

namespace skep {

// Loose matching: case, blanks, '-' and '_' do not matter, versions newer than the catalogue are taken as they come.
// Confidence is "certain" with a version (or for a system that has none) and "likely" without.
[[nodiscard]] std::optional<OsGuess> recognise_os(std::string_view text);

}  // namespace skep
