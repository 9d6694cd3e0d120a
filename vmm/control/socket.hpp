// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/control: Unix stream sockets, their addresses, the peer's user, and bytes that carry a descriptor.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Non-blocking. Binds with mode 0600, replacing a socket file on which nobody listens (kind in_use otherwise).
[[nodiscard]] Result<Fd> listen_unix(const std::filesystem::path& path);
// Non-blocking. Kind not_found when there is no socket or nobody listens.
[[nodiscard]] Result<Fd> connect_unix(const std::filesystem::path& path);
// SO_PEERCRED: the other end runs as our effective user.
[[nodiscard]] bool peer_is_same_user(int fd);

// send() of bytes, the first of which carries `passed` when it is >= 0. As send(): -1 with errno.
[[nodiscard]] ssize_t send_with_fd(int fd, std::string_view bytes, int passed);
// recv() into a buffer; a descriptor that comes along is put into `passed` (others are closed). As recv().
[[nodiscard]] ssize_t receive_with_fd(int fd, char* to, size_t size, Fd& passed);

}  // namespace skep
