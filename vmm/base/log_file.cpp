// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

constexpr std::string_view k_note = "(Older lines were left out.)\n";

bool is_same_file(int fd, const std::filesystem::path& file) {
    struct stat open_one{};
    struct stat named{};
    return fstat(fd, &open_one) == 0 && stat(file.c_str(), &named) == 0 && S_ISREG(open_one.st_mode) &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

// The last `count` bytes from a line's start on.
std::string read_newest(const std::filesystem::path& file, uint64_t size, uint64_t count) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(std::min(count, size), '\0');
    const ssize_t got = fd ? pread(fd.get(), text.data(), text.size(), static_cast<off_t>(size - text.size())) : -1;
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    const size_t line_end = text.find('\n');
    return line_end == std::string::npos ? std::string() : text.substr(line_end + 1);
}

}  // namespace

LogFileLimit::LogFileLimit(std::filesystem::path file, int fd, uint64_t most)
    : m_file(std::move(file)), m_fd(fd), m_most(most), m_next(is_same_file(fd, m_file) ? most : 0) {}

void LogFileLimit::check() {
    const std::lock_guard lock(m_mutex);
    struct stat info{};
    if (m_next == 0 || fstat(m_fd, &info) != 0 || static_cast<uint64_t>(info.st_size) <= m_next) {
        return;
    }
    const auto size = static_cast<uint64_t>(info.st_size);
    m_next = shorten(size) ? m_most : size + m_most;
}

bool LogFileLimit::shorten(uint64_t size) const {
    const std::filesystem::path shorter = m_file.string() + ".new";
    const Fd fd(::open(shorter.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    const bool written = fd && write_all(fd.get(), std::string(k_note) + read_newest(m_file, size, m_most / 2));
    if (!written || ::rename(shorter.c_str(), m_file.c_str()) != 0) {
        ::unlink(shorter.c_str());
        return false;
    }
    return dup2(fd.get(), m_fd) >= 0;
}

}  // namespace skep
