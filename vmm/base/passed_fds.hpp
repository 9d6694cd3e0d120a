// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes over a Unix socket that bring file descriptors along (SCM_RIGHTS, unix(7)).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <string_view>
#include <vector>

#include "vmm/base/fd.hpp"

namespace skep {

// send() of bytes, the first of which carries `passed` when it is >= 0. As send(): -1 with errno, never SIGPIPE.
[[nodiscard]] ssize_t send_with_fd(int fd, std::string_view bytes, int passed, int flags = MSG_DONTWAIT);
// recv() into a buffer, without waiting; every descriptor that came along is put into `passed`. As recv().
[[nodiscard]] ssize_t receive_with_fds(int fd, char* to, size_t size, std::vector<Fd>& passed);

}  // namespace skep
