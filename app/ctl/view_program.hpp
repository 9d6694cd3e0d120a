// SPDX-License-Identifier: GPL-3.0-or-later
// skep-view, the program that shows a screen in an SDL2 window: beside this program, or where SKEP_VIEW says.
#pragma once

#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// This process goes on as skep-view on the open screen; what comes back is why it could not.
[[nodiscard]] Error become_view(const Fd& screen, const std::string& title);

}  // namespace skep
