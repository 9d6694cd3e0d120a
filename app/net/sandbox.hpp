// SPDX-License-Identifier: GPL-3.0-or-later
// What the process that parses a guest's packets may do: use Internet sockets, and nothing else.
#pragma once

#include "vmm/base/result.hpp"

namespace skep {

// No files, no programs, no other processes, no other sockets; for ever.
[[nodiscard]] Status enter_network_sandbox();

}  // namespace skep
