// SPDX-License-Identifier: GPL-3.0-or-later
// Opening an image file: every way it can go wrong has its sentence.
#include "devices/block/image_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace skep {
namespace {

tl::unexpected<Error> open_error(int error, const std::string& path, ImageAccess access) {
    switch (error) {
        case ENOENT:
        case ENOTDIR:
            return fail(ErrorKind::not_found, "Disk image {} does not exist. Choose another file.", path);
        case EACCES:
        case EPERM:
        case EROFS:
            return fail(ErrorKind::permission, "Disk image {} may not be {} by you. Check its permissions.", path,
                        access == ImageAccess::read_write ? "written" : "read");
        case EISDIR: return fail(ErrorKind::invalid_input, "{} is a folder, not a disk image.", path);
        default: return fail_errno(error, fmt::format("Opening disk image {}", path));
    }
}

// Bytes of a regular file or a block device.
Result<uint64_t> image_size(int fd, const std::string& path) {
    struct stat status {};
    if (fstat(fd, &status) != 0) {
        return fail_errno(errno, fmt::format("Looking at disk image {}", path));
    }
    if (S_ISDIR(status.st_mode)) {
        return fail(ErrorKind::invalid_input, "{} is a folder, not a disk image.", path);
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        return fail(ErrorKind::invalid_input, "{} is neither a file nor a disk.", path);
    }
    const off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0) {
        return fail_errno(errno, fmt::format("Measuring disk image {}", path));
    }
    if (end == 0) {
        return fail(ErrorKind::invalid_input, "Disk image {} is empty.", path);
    }
    return static_cast<uint64_t>(end);
}

}  // namespace

Result<ImageFile> open_image_file(const std::string& path, ImageAccess access, IoMethod method) {
    const bool writer = access == ImageAccess::read_write;
    // O_NONBLOCK: a FIFO in the image's place must not hang us. Off again below: io_uring would answer EAGAIN.
    Fd fd(::open(path.c_str(), (writer ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        return open_error(errno, path, access);
    }
    const Result<uint64_t> size = image_size(fd.get(), path);
    if (!size) {
        return tl::unexpected(size.error());
    }
    if (fcntl(fd.get(), F_SETFL, 0) != 0) {
        return fail_errno(errno, fmt::format("Opening disk image {}", path));
    }
    if (const Status locked = lock_image(fd.get(), access, path); !locked) {
        return tl::unexpected(locked.error());
    }
    auto engine = make_file_engine(fd.get(), method);
    if (!engine) {
        return tl::unexpected(engine.error());
    }
    return ImageFile{std::move(fd), *size, std::move(*engine)};
}

}  // namespace skep
