// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/control: Unix stream sockets, their addresses and the peer's user.
#pragma once

#include <filesystem>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Non-blocking. Binds with mode 0600, replacing a socket file on which nobody listens (kind in_use otherwise).
[[nodiscard]] Result<Fd> listen_unix(const std::filesystem::path& path);
// Non-blocking. Kind not_found when there is no socket or nobody listens.
[[nodiscard]] Result<Fd> connect_unix(const std::filesystem::path& path);
// SO_PEERCRED: the other end runs as our effective user.
[[nodiscard]] bool peer_is_same_user(int fd);

}  // namespace skep
