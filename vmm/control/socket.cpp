// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace skep {
namespace {

Result<sockaddr_un> make_address(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& text = path.native();
    if (text.size() >= sizeof address.sun_path) {
        return fail(ErrorKind::invalid_input, "The path '{}' is too long for a socket ({} bytes, at most {}); set XDG_RUNTIME_DIR "
                    "to a shorter folder.", text, text.size(), sizeof address.sun_path - 1);
    }
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    return address;
}

constexpr int k_backlog = 16;
constexpr int k_flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

}  // namespace

Result<Fd> connect_unix(const std::filesystem::path& path) {
    const auto address = make_address(path);
    if (!address) {
        return tl::unexpected<Error>(address.error());
    }
    Fd fd(socket(AF_UNIX, k_flags, 0));
    if (!fd) {
        return fail_errno(errno, "Cannot open a socket");
    }
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED) {
            return fail(ErrorKind::not_found, "Nobody listens on '{}'.", path.string());
        }
        if (errno == EAGAIN) {  // its backlog is full: it has not come round to answering yet
            return fail(ErrorKind::cancelled, "Whoever listens on '{}' is too busy to answer; try again.", path.string());
        }
        return fail_errno(errno, fmt::format("Cannot connect to '{}'", path.string()));
    }
    return fd;
}

Result<Fd> listen_unix(const std::filesystem::path& path) {
    const auto address = make_address(path);
    if (!address) {
        return tl::unexpected<Error>(address.error());
    }
    const auto other = connect_unix(path);
    if (other || other.error().kind == ErrorKind::cancelled) {
        return fail(ErrorKind::in_use, "Another worker listens on '{}' already.", path.string());
    }
    if (other.error().kind == ErrorKind::not_found) {
        ::unlink(path.c_str());  // left by a worker that died
    }
    Fd fd(socket(AF_UNIX, k_flags, 0));
    // fchmod before bind gives the file its mode at once (Linux), so that it is never open to others.
    if (!fd || fchmod(fd.get(), 0600) != 0 ||
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        chmod(path.c_str(), 0600) != 0 || listen(fd.get(), k_backlog) != 0) {
        return fail_errno(errno, fmt::format("Cannot listen on '{}'", path.string()));
    }
    return fd;
}

bool peer_is_same_user(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

}  // namespace skep
