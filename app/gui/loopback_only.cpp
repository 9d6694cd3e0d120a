// SPDX-License-Identifier: GPL-3.0-or-later
// Without a display the window is served by Qt's VNC platform (scripts/run), which asks for no password, listens on every
// address of the computer, and has no option to change that (Qt 6.4, QVncServer::init). So bind() of this program, which
// the linker puts before libc's for every library in it (--export-dynamic-symbol in app/CMakeLists.txt), narrows "every
// address" to this computer's own. Nothing else in the window listens on the network.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace {

// An IPv6 socket that also takes IPv4, as Qt's is, then listens on 127.0.0.1, which every viewer tries.
constexpr unsigned char k_mapped_loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};

void narrow(sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
        auto& internet = reinterpret_cast<sockaddr_in&>(address);
        if (internet.sin_addr.s_addr == htonl(INADDR_ANY)) {
            internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
    } else if (address.ss_family == AF_INET6) {
        auto& internet = reinterpret_cast<sockaddr_in6&>(address);
        if (std::memcmp(&internet.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0) {
            std::memcpy(&internet.sin6_addr, k_mapped_loopback, sizeof k_mapped_loopback);
        }
    }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    sockaddr_storage narrowed{};
    std::memcpy(&narrowed, address, std::min<size_t>(length, sizeof narrowed));
    narrow(narrowed);
    return static_cast<int>(syscall(SYS_bind, fd, &narrowed, length));
}
