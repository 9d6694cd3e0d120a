// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/control: the requests about screen, keyboard and pointer, from checked messages to ScreenControl.
#pragma once

#include "vmm/control/messages.hpp"
#include "vmm/control/screen_control.hpp"

namespace skep {

// `screen` may be null: the machine has none.
[[nodiscard]] Result<MessageValues> ask_screen(ScreenControl* screen, const Message& request, Fd& fd_to_send);
[[nodiscard]] Result<MessageValues> ask_input(ScreenControl* screen, const Message& request);

}  // namespace skep
