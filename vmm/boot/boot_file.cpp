// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/boot/boot_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "vmm/base/fd.hpp"

namespace skep {

Result<LargeBuffer> read_boot_file(const std::string& what, const std::string& path, uint64_t limit) {
    // O_NONBLOCK: a FIFO must not hang us before it is refused.
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) {
        return fail_errno(errno, fmt::format("Opening the {} '{}'", what, path));
    }
    struct stat info {};
    if (fstat(file.get(), &info) != 0) {
        return fail_errno(errno, fmt::format("Examining the {} '{}'", what, path));
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(ErrorKind::invalid_input, "The {} '{}' is not a file; choose a file.", what, path);
    }
    const auto size = static_cast<uint64_t>(info.st_size);
    if (size == 0) {
        return fail(ErrorKind::invalid_input, "The {} '{}' is empty; choose another file.", what, path);
    }
    if (size > limit) {
        return fail(ErrorKind::invalid_input,
                    "The {} '{}' has {} MiB, more than the {} MiB that fit; choose another file.", what, path,
                    size >> 20, limit >> 20);
    }
    LargeBuffer content(size);
    for (size_t done = 0; done < content.size();) {
        const ssize_t count = read(file.get(), content.data() + done, content.size() - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, fmt::format("Reading the {} '{}'", what, path));
        }
        if (count == 0) {
            return fail(ErrorKind::io, "The {} '{}' became shorter while it was read; try again.", what, path);
        }
        done += static_cast<size_t>(count);
    }
    return content;
}

}  // namespace skep
