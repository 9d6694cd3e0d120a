// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace skep {

Result<std::string> read_small_file(const std::filesystem::path& file, size_t limit) {
    // O_NONBLOCK: a FIFO in the file's place must not hang us.
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        return fail_errno(errno, fmt::format("Cannot open '{}'", file.string()));
    }
    struct stat info{};
    if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(ErrorKind::invalid_input, "'{}' is not a file.", file.string());
    }
    std::string content;
    content.resize(limit + 1);
    size_t filled = 0;
    while (filled < content.size()) {
        const ssize_t got = ::read(fd.get(), content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, fmt::format("Cannot read '{}'", file.string()));
        }
        if (got == 0) {
            break;
        }
        filled += static_cast<size_t>(got);
    }
    if (filled > limit) {
        return fail(ErrorKind::invalid_input, "'{}' is larger than {} bytes, the most that is accepted.", file.string(), limit);
    }
    content.resize(filled);
    return content;
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return true;
}

Status sync_folder(const std::filesystem::path& folder) {
    const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some network file systems refuse fsync on folders; they order renames themselves.
    if (!fd || (fsync(fd.get()) != 0 && errno != EINVAL)) {
        return fail_errno(errno, fmt::format("Cannot save the folder '{}'", folder.string()));
    }
    return {};
}

Status replace_file(const std::filesystem::path& file, std::string_view content, mode_t mode) {
    std::string name = file.string() + ".XXXXXX";
    const Fd fd(mkostemp(name.data(), O_CLOEXEC));
    const auto give_up = [&](const char* what) {
        const int error = errno;
        if (fd) {
            ::unlink(name.c_str());
        }
        return fail_errno(error, fmt::format("Cannot {} '{}'; the old file is unchanged", what, file.string()));
    };
    if (!fd || fchmod(fd.get(), mode) != 0) {
        return give_up("create");
    }
    if (!write_all(fd.get(), content) || fsync(fd.get()) != 0) {
        return give_up("write");
    }
    if (::rename(name.c_str(), file.c_str()) != 0) {
        return give_up("replace");
    }
    return sync_folder(file.parent_path().empty() ? std::filesystem::path(".") : file.parent_path());
}

}  // namespace skep
