// SPDX-License-Identifier: GPL-3.0-or-later
// SdlWindow: a machine's screen in an SDL2 window, for people without the Qt program. One thread, the program's first.
#pragma once

#include <memory>
#include <string>

#include "display/window/rfb_client.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Until the user closes the window (success) or the machine goes (kind io). Keys go to the guest as they are; Ctrl-Alt-F
// is full screen. Kind unsupported when the host has no display.
[[nodiscard]] Status show_in_window(RfbClient& client, const std::string& title);

}  // namespace skep
