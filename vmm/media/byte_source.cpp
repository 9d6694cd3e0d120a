// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/media/byte_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace skep {

std::vector<std::byte> ByteSource::read_start(size_t length) const {
    std::vector<std::byte> block(static_cast<size_t>(std::min<uint64_t>(size(), length)));
    if (!read(0, block)) {
        block.clear();
    }
    return block;
}

Result<FileSource> FileSource::open(const std::string& path) {
    FileSource source;
    // O_NONBLOCK: a FIFO must not hang us before it is refused.
    source.m_file = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!source.m_file) {
        if (errno == ENOENT) {
            return fail(ErrorKind::not_found, "There is no file '{}'; choose another one.", path);
        }
        if (errno == EACCES) {
            return fail(ErrorKind::permission, "You may not read '{}'; change its permissions or choose another file.",
                        path);
        }
        return fail_errno(errno, fmt::format("Opening '{}'", path));
    }
    struct stat info {};
    if (fstat(source.m_file.get(), &info) != 0) {
        return fail_errno(errno, fmt::format("Examining '{}'", path));
    }
    if (S_ISDIR(info.st_mode)) {
        return fail(ErrorKind::invalid_input, "'{}' is a folder; choose a file.", path);
    }
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
        return fail(ErrorKind::invalid_input, "'{}' is neither a file nor a drive; choose a file.", path);
    }
    const off_t end = lseek(source.m_file.get(), 0, SEEK_END);
    if (end < 0) {
        return fail_errno(errno, fmt::format("Finding the size of '{}'", path));
    }
    if (end == 0) {
        return fail(ErrorKind::invalid_input, "'{}' is empty; download or copy it again.", path);
    }
    source.m_size = static_cast<uint64_t>(end);
    std::byte probe;
    if (!source.read(0, {&probe, 1})) {
        return fail_errno(errno, fmt::format("Reading '{}'", path));
    }
    return source;
}

bool FileSource::read(uint64_t offset, std::span<std::byte> to) const {
    if (offset > m_size || to.size() > m_size - offset) {
        return false;
    }
    while (!to.empty()) {
        const ssize_t count = pread(m_file.get(), to.data(), to.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        to = to.subspan(static_cast<size_t>(count));
        offset += static_cast<uint64_t>(count);
    }
    return true;
}

bool MemorySource::read(uint64_t offset, std::span<std::byte> to) const {
    if (offset > m_bytes.size() || to.size() > m_bytes.size() - offset) {
        return false;
    }
    if (!to.empty()) {
        std::memcpy(to.data(), m_bytes.data() + offset, to.size());
    }
    return true;
}

}  // namespace skep
