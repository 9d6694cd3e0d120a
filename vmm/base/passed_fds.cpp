// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/passed_fds.hpp"

#include <sys/uio.h>

#include <array>
#include <cstring>

namespace skep {
namespace {

// Room for the headers of a few descriptors; a peer may send more than anybody wants.
constexpr size_t k_max_passed = 8;
struct ControlSpace {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * k_max_passed)> bytes{};
};

}  // namespace

ssize_t send_with_fd(int fd, std::string_view bytes, int passed, int flags) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    ControlSpace space;
    if (passed >= 0) {
        header.msg_control = space.bytes.data();
        header.msg_controllen = CMSG_SPACE(sizeof(int));
        cmsghdr* const message = CMSG_FIRSTHDR(&header);
        message->cmsg_level = SOL_SOCKET;
        message->cmsg_type = SCM_RIGHTS;
        message->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(message), &passed, sizeof passed);
    }
    return sendmsg(fd, &header, flags | MSG_NOSIGNAL);
}

ssize_t receive_with_fds(int fd, char* to, size_t size, std::vector<Fd>& passed) {
    iovec part{to, size};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    ControlSpace space;
    header.msg_control = space.bytes.data();
    header.msg_controllen = space.bytes.size();
    const ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        return got;
    }
    for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
        if (message->cmsg_level != SOL_SOCKET || message->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t count = (message->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; ++index) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(message) + index * sizeof(int), sizeof descriptor);
            passed.emplace_back(descriptor);
        }
    }
    return got;
}

}  // namespace skep
