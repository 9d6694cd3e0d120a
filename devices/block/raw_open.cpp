// SPDX-License-Identifier: GPL-3.0-or-later
// Opening and creating raw images.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "devices/block/image_file.hpp"
#include "devices/block/raw.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_sector = 512;

}  // namespace

Result<std::shared_ptr<RawImage>> RawImage::open(const std::string& path, const RawOptions& options) {
    auto file = open_image_file(path, options.access, options.method);
    if (!file) {
        return tl::unexpected(file.error());
    }
    const bool writer = options.access == ImageAccess::read_write;
    if (writer && file->size % options.block_size != 0) {
        return fail(ErrorKind::invalid_input, "Disk image {} is damaged: its size is not a multiple of {} bytes.", path,
                    options.block_size);
    }
    const BlockInfo info{align_up(file->size, options.block_size), options.block_size, !writer, writer};
    return std::make_shared<RawImage>(path, info, file->size, std::move(file->fd), std::move(file->engine));
}

Status RawImage::grow(uint64_t size) {
    if (const Status may = may_grow(size); !may) {
        return may;
    }
    if (ftruncate(m_fd.get(), static_cast<off_t>(size)) != 0 || fdatasync(m_fd.get()) != 0) {
        return fail_errno(errno, fmt::format("Growing disk image {}", m_path));
    }
    m_file_size = m_info.size = size;
    return {};
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
