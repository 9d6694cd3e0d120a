// SPDX-License-Identifier: GPL-3.0-or-later
// Opening and creating raw images: every way it can go wrong has its sentence.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "devices/block/raw.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_sector = 512;

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

Result<std::shared_ptr<RawImage>> RawImage::open(const std::string& path, const RawOptions& options) {
    const bool writer = options.access == ImageAccess::read_write;
    // O_NONBLOCK: a FIFO in the image's place must not hang us. Off again below: io_uring would answer EAGAIN.
    Fd fd(::open(path.c_str(), (writer ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        return open_error(errno, path, options.access);
    }
    const Result<uint64_t> size = image_size(fd.get(), path);
    if (!size) {
        return tl::unexpected(size.error());
    }
    if (fcntl(fd.get(), F_SETFL, 0) != 0) {
        return fail_errno(errno, fmt::format("Opening disk image {}", path));
    }
    if (writer && *size % options.block_size != 0) {
        return fail(ErrorKind::invalid_input, "Disk image {} is damaged: its size is not a multiple of {} bytes.", path,
                    options.block_size);
    }
    if (const Status locked = lock_image(fd.get(), options.access, path); !locked) {
        return tl::unexpected(locked.error());
    }
    auto engine = make_file_engine(fd.get(), options.method);
    if (!engine) {
        return tl::unexpected(engine.error());
    }
    const BlockInfo info{align_up(*size, options.block_size), options.block_size, !writer, writer};
    return std::make_shared<RawImage>(path, info, *size, std::move(fd), std::move(*engine));
}

Status create_raw_image(const std::string& path, uint64_t size) {
    if (size == 0 || size % k_sector != 0 || size > (uint64_t{1} << 62)) {
        return fail(ErrorKind::invalid_input, "A disk of {} bytes cannot be made: give a multiple of {}.", size, k_sector);
    }
    const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) {
        if (errno == EEXIST) {
            return fail(ErrorKind::in_use, "{} exists already and is left as it is. Choose another name.", path);
        }
        return fail_errno(errno, fmt::format("Creating disk image {}", path));
    }
    if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
        const int error = errno;
        ::unlink(path.c_str());
        return fail_errno(error, fmt::format("Creating disk image {} of {} bytes", path, size));
    }
    return {};
}

}  // namespace skep
