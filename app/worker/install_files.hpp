// SPDX-License-Identifier: GPL-3.0-or-later
// The files of an unattended installation in a machine's folder (vmm/unattended makes them): a password's hash is in them.
#pragma once

#include <filesystem>

#include "vmm/spec/vm_spec.hpp"

namespace skep {

// Removes from install/ in the machine's folder what its settings do not name, and install/ when nothing is left in it. What
// lies elsewhere is the user's. Whoever holds the machine's run lock; what cannot be removed is logged.
void remove_unused_install_files(const std::filesystem::path& folder, const VmSpec& spec);

}  // namespace skep
