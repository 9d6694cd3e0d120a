// SPDX-License-Identifier: GPL-3.0-or-later
// What a network card's cable is plugged into on this host, as a descriptor. A worker in its sandbox can open none of it:
// it does so before, and later whoever asks it to change the cable brings the descriptor along, by the user's own rights.
#pragma once

#include <filesystem>
#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

// Where programs that are started say what goes wrong: on the caller's standard error, or, when the caller may be gone before
// they are, nowhere.
enum class PlugMessages { here, nowhere };

// user: a channel to a new skep-net (UserBackend); tap: the tap; socket and none need no descriptor, and get an invalid one.
// May wait a few seconds for a program. Any thread.
[[nodiscard]] Result<Fd> open_plug(const NetworkSpec& network, PlugMessages messages);

// A channel to a new network process, which ends with it. The process is in nobody's care but its own.
[[nodiscard]] Result<Fd> start_network_process(const std::filesystem::path& program, PlugMessages messages);
// skep-net beside the worker's program. Whether it is there only starting it tells.
[[nodiscard]] std::filesystem::path find_network_program();

// A tap of this host that exists already and is this user's, or one on a bridge, from the system's setuid helper
// (qemu-bridge-helper; which bridges it allows says /etc/qemu/bridge.conf). Never makes an interface by itself.
[[nodiscard]] Result<Fd> open_tap(const std::string& interface);
// Why no tap or bridge can be used here by anybody, one sentence; empty when it may be possible.
[[nodiscard]] std::string tap_problem();

}  // namespace skep
