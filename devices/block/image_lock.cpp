// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/block/image_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace skep {
namespace {

// A permission that somebody uses is a read-locked byte from 100; one that he does not let others use, from 200.
constexpr off_t k_used_base = 100;
constexpr off_t k_denied_base = 200;

constexpr unsigned k_consistent_read = 1;
constexpr unsigned k_write = 2;
constexpr unsigned k_write_unchanged = 4;
constexpr unsigned k_resize = 8;
constexpr unsigned k_permission_count = 4;

constexpr int k_lock_tries = 25;
constexpr std::chrono::milliseconds k_between_tries{20};

int lock_byte(int fd, off_t at) {
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = at;
    lock.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

// Does another description hold this byte?
bool held_by_other(int fd, off_t at) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = at;
    lock.l_len = 1;
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

tl::unexpected<Error> in_use(const std::string& path) {
    return fail(ErrorKind::in_use, "Disk image {} is in use by another process. Stop it and try again.", path);
}

Status try_to_lock(int fd, ImageAccess access, const std::string& path) {
    const bool writer = access == ImageAccess::read_write;
    const unsigned used = writer ? k_consistent_read | k_write : k_consistent_read;
    const unsigned denied = k_write | k_resize;
    for (unsigned i = 0; i < k_permission_count; ++i) {
        for (const auto& [set, base] : {std::pair(used, k_used_base), std::pair(denied, k_denied_base)}) {
            const int error = (set >> i & 1) != 0 ? lock_byte(fd, base + i) : 0;
            if (error == EAGAIN || error == EACCES) {
                return in_use(path);
            }
            if (error != 0 && writer) {
                return fail(ErrorKind::unsupported,
                            "Disk image {} cannot be locked on this file system. Move it to a local disk.", path);
            }
        }
    }
    // Locked first, looked second: two that race see each other.
    for (unsigned i = 0; i < k_permission_count; ++i) {
        if (((used >> i & 1) != 0 && held_by_other(fd, k_denied_base + i)) ||
            ((denied >> i & 1) != 0 && held_by_other(fd, k_used_base + i))) {
            return in_use(path);
        }
    }
    return {};
}

}  // namespace

// A process that was killed may hold its files a moment longer: the kernel takes its io_uring apart behind its end.
Status lock_image(int fd, ImageAccess access, const std::string& path) {
    Status locked = try_to_lock(fd, access, path);
    for (int i = 0; i < k_lock_tries && !locked && locked.error().kind == ErrorKind::in_use; ++i) {
        std::this_thread::sleep_for(k_between_tries);
        locked = try_to_lock(fd, access, path);
    }
    return locked;
}

static_assert((k_write_unchanged & (k_write | k_resize)) == 0, "others may rewrite what is already there");

}  // namespace skep
