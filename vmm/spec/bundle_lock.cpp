// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/bundle_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <thread>

#include "vmm/spec/bundle.hpp"

namespace skep {
namespace {

constexpr int k_edit_tries = 500;  // of 10 ms: editing takes milliseconds, so five seconds mean that something hangs

struct flock one_byte(BundleLock lock, int type) {
    struct flock range{};
    range.l_type = static_cast<short>(type);
    range.l_whence = SEEK_SET;
    range.l_start = static_cast<off_t>(lock);
    range.l_len = 1;
    return range;
}

}  // namespace

Result<Fd> lock_bundle(const std::filesystem::path& folder, BundleLock lock, Waiting waiting) {
    const std::filesystem::path file = folder / "lock";
    Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return fail_errno(errno, fmt::format("Cannot open the lock file '{}'", file.string()));
    }
    struct flock range = one_byte(lock, F_WRLCK);
    for (int tries = 0; fcntl(fd.get(), F_OFD_SETLK, &range) != 0; ++tries) {
        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN && errno != EACCES) {
            return fail_errno(errno, fmt::format("Cannot lock '{}'; does its file system support locks?", file.string()));
        }
        if (waiting == Waiting::no || tries >= k_edit_tries) {
            const std::string name = folder.stem().string();
            return lock == BundleLock::run
                       ? fail(ErrorKind::in_use, "The machine '{}' is running already.", name)
                       : fail(ErrorKind::in_use, "The settings of '{}' are being changed by another program; try again.", name);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return fd;
}

bool is_locked(const std::filesystem::path& folder, BundleLock lock) {
    const Fd fd(::open((folder / "lock").c_str(), O_RDWR | O_CLOEXEC));
    struct flock range = one_byte(lock, F_WRLCK);
    return fd && fcntl(fd.get(), F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

Result<RunLock> RunLock::acquire(const std::filesystem::path& bundle_folder) {
    return lock_bundle(bundle_folder, BundleLock::run, Waiting::no).map([](Fd fd) { return RunLock(std::move(fd)); });
}

}  // namespace skep
