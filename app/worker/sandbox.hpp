// SPDX-License-Identifier: GPL-3.0-or-later
// What the worker gives up before the guest's first instruction.
#pragma once

#include "vmm/base/result.hpp"

namespace skep {

// Irrevocable: no new privileges, no core dump of guest memory, and a system call filter after which the process (and
// a guest that has broken out into it) can neither start programs, nor look into other processes, nor open network
// sockets, nor change mounts, identities, modules or the clock. Opening files stays possible: a CD may be inserted.
// The filtered calls fail with EPERM.
[[nodiscard]] Status enter_sandbox();

}  // namespace skep
